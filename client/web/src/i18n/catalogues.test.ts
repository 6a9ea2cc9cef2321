import { describe, expect, it } from 'vitest';
import { en } from './en';
import { vi } from './vi';

type Tree = { readonly [key: string]: string | Tree };

function leaves(tree: Tree, prefix = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    const path = prefix ? `${prefix}.${key}` : key;
    if (typeof value === 'string') found.set(path, value);
    else for (const [inner, text] of leaves(value, path)) found.set(inner, text);
  }
  return found;
}

const placeholders = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((match) => match[1]).sort();

describe('catalogues', () => {
  const vietnamese = leaves(vi);
  const english = leaves(en);

  it('have the same keys', () => {
    expect([...english.keys()].sort()).toEqual([...vietnamese.keys()].sort());
  });

  it('use the same placeholders in every text', () => {
    for (const [key, text] of vietnamese) {
      expect(placeholders(english.get(key) ?? ''), key).toEqual(placeholders(text));
    }
  });

  it('have no empty text and no stray spaces', () => {
    for (const [key, text] of [...vietnamese, ...english]) {
      expect(text, key).not.toBe('');
      expect(text.trim(), key).toBe(text);
      expect(text.normalize('NFC'), key).toBe(text);
    }
  });
});
