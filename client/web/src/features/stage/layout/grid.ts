export interface GridShape {
  columns: number;
  rows: number;
  /** Size of one tile, in CSS pixels, whole numbers. */
  width: number;
  height: number;
}

const aspect = 16 / 9;

/** The number of columns that makes `count` tiles of 16:9 largest in the given space (CSS pixels). */
export function gridShape(count: number, width: number, height: number, gap: number): GridShape {
  let best: GridShape = { columns: 1, rows: Math.max(1, count), width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const roomX = (width - gap * (columns - 1)) / columns;
    const roomY = (height - gap * (rows - 1)) / rows;
    const tile = Math.floor(Math.min(roomX, roomY * aspect));
    if (tile > best.width) best = { columns, rows, width: tile, height: Math.floor(tile / aspect) };
  }
  return best;
}

/** One page of a long list; `page` counts from 0 and is held within what there is. */
export function pageOf<T>(items: readonly T[], page: number, size: number): { items: readonly T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(items.length / size));
  const held = Math.min(Math.max(0, page), pages - 1);
  return { items: items.slice(held * size, (held + 1) * size), page: held, pages };
}
