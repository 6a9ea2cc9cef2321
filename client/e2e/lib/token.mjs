// Access tokens as a LiveKit API key's owner makes them: a JWT signed with HS256.
import { createHmac, randomUUID } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * @param {{key: string, secret: string, identity: string, name?: string, room?: string,
 *   metadata?: string, attributes?: Record<string, string>, ttl?: number,
 *   video?: Record<string, unknown>}} claims ttl in seconds, negative for an expired token;
 *   video replaces single grants of the usual participant
 */
export function accessToken({ key, secret, identity, name, room, metadata, attributes, ttl = 600, video }) {
  const now = Math.floor(Date.now() / 1000);
  const body = {
    iss: key,
    sub: identity,
    jti: randomUUID(),
    nbf: now - 3600,
    exp: now + ttl,
    name: name ?? identity,
    metadata,
    attributes,
    video: {
      room,
      roomJoin: true,
      canPublish: true,
      canSubscribe: true,
      canPublishData: true,
      canUpdateOwnMetadata: true,
      ...video,
    },
  };
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(body)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
