// What a screen reader announces of a reply that is being written: whole sentences, without Markdown's marks.

/** The text from `from` that can be announced: up to the last end of a sentence or line, or all of it when the reply has ended. */
export function nextAnnouncement(text: string, from: number, isEnd: boolean): { speech: string; to: number } {
  const to = isEnd ? text.length : endOfSentence(text, from);
  return { speech: toSpeech(text.slice(from, to)), to };
}

function endOfSentence(text: string, from: number): number {
  let end = from;
  for (const match of text.slice(from).matchAll(/[.!?:]\s|\n/g)) end = from + match.index + match[0].length;
  return end;
}

export const toSpeech = (markdown: string) =>
  markdown
    .replace(/^ {0,3}(?:```|~~~).*$/gm, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^[\s>|#*+-]+/gm, "")
    .replace(/[*`|~]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
