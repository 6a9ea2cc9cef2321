const collator = new Intl.Collator('vi', { numeric: true, sensitivity: 'variant' });

/** How names of units and rooms begin; a person's never does. */
const unit =
  /^(ủy ban|ubnd|hđnd|hội đồng|sở|ban|phòng|văn phòng|điểm cầu|xã|phường|thị trấn|huyện|tỉnh|đặc khu|công an|quân sự|trung tâm|chi cục|cục|đảng ủy|hội|đoàn|trường|bệnh viện|trạm|viện|tòa án)(\s|$)/iu;

/**
 * The part of a name that people and lists go by. Of a Vietnamese personal
 * name that is the last word; a unit's name ("Ủy ban nhân dân xã …") sorts by
 * the whole of it, for its last word says nothing.
 */
export function givenName(name: string): string {
  const words = name.trim().split(/\s+/);
  if (unit.test(name.trim()) || words.length > 5 || /[–\-:/\d]/.test(name)) return name.trim();
  return words[words.length - 1] ?? '';
}

/** Orders by given name, then by the whole name, in Vietnamese collation. */
export function compareByGivenName(a: string, b: string): number {
  return collator.compare(givenName(a), givenName(b)) || collator.compare(a, b);
}

/** At most two letters that stand for a name where there is no picture: first and last word before any dash or dot that a unit follows. */
export function initials(name: string): string {
  const words = (name.split(/\s[–—·-]\s/)[0] ?? '').split(/\s+/).filter((word) => /^\p{L}/u.test(word));
  const first = words[0];
  if (first === undefined) return '•';
  const last = words[words.length - 1] ?? first;
  const letters = words.length > 1 ? [first, last] : [first];
  return letters.map((word) => (word.normalize('NFC').match(/\p{L}/u)?.[0] ?? '').toLocaleUpperCase('vi')).join('');
}

/** Removes Vietnamese marks: "Đường" becomes "Duong". */
export function withoutMarks(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').replace(/đ/g, 'd').replace(/Đ/g, 'D');
}

/** Whether every word of query begins some word of name; marks and case do not matter. */
export function nameMatches(name: string, query: string): boolean {
  const words = withoutMarks(name).toLowerCase().split(/\s+/);
  return withoutMarks(query)
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean)
    .every((part) => words.some((word) => word.startsWith(part)));
}
