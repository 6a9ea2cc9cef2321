const heights = [4, 7, 10, 13];
const lit = { excellent: 4, good: 3, poor: 1, lost: 0, unknown: 0 };

/** Four bars for a line's quality; always beside words that say the same. */
export function LineBars({ quality }: { quality: keyof typeof lit }) {
  return (
    <svg width="16" height="14" viewBox="0 0 16 14" aria-hidden fill="currentColor">
      {heights.map((height, index) => (
        <rect key={height} x={index * 4} y={13 - height} width="3" height={height} rx="1" opacity={index < lit[quality] ? 1 : 0.35} />
      ))}
    </svg>
  );
}
