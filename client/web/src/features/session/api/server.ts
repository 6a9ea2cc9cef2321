/** What the server says about itself at `/api/v1/config`. */
export interface ServerConfig {
  demo: boolean;
  version: string;
}

/** A refusal or failure of our HTTP API, with the words of its problem+json body where it sent one. Status 0: no answer. */
export class ApiError extends Error {
  override name = 'ApiError';
  constructor(
    readonly status: number,
    readonly detail = '',
  ) {
    super(detail || `HTTP ${status}`);
  }
}

async function requestJson(path: string, init: RequestInit = {}): Promise<Record<string, unknown>> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.timeout(10_000) });
  } catch {
    throw new ApiError(0);
  }
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    throw new ApiError(response.ok ? 502 : response.status);
  }
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  if (!response.ok) throw new ApiError(response.status, typeof fields.detail === 'string' ? fields.detail : '');
  return fields;
}

/** Asks the server for its configuration. Throws ApiError. */
export async function fetchConfig(): Promise<ServerConfig> {
  const body = await requestJson('/api/v1/config');
  return { demo: body.demo === true, version: typeof body.version === 'string' ? body.version : '' };
}

/** Asks for a demo access token for a room (demo servers only). Throws ApiError. */
export async function fetchDemoToken(name: string, room: string): Promise<string> {
  const body = await requestJson('/api/v1/demo/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name, room }),
  });
  if (typeof body.token !== 'string') throw new ApiError(502);
  return body.token;
}

/** The address of the signalling WebSocket: the host the page came from. */
export function signalUrl(page: { protocol: string; host: string } = location): string {
  return `${page.protocol === 'https:' ? 'wss' : 'ws'}://${page.host}`;
}
