// Puts text into the message field from elsewhere: a suggestion, or a rejected message to edit.

type Listener = (text: string) => void;
let listener: Listener | null = null;

/** The message field that is shown. Returns a function that unregisters it. */
export function registerComposer(setText: Listener): () => void {
  listener = setText;
  return () => {
    if (listener === setText) listener = null;
  };
}

export const editInComposer = (text: string) => listener?.(text);
