// localStorage and sessionStorage that do not throw: a browser can block them, and they can be full.

function open(kind: "localStorage" | "sessionStorage"): Storage | null {
  try {
    return window[kind];
  } catch {
    return null;
  }
}

function jsonStorage(kind: "localStorage" | "sessionStorage") {
  const storage = open(kind);
  return {
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- what was stored under a key has one type
    read<T>(key: string): T | null {
      try {
        const text = storage?.getItem(key);
        return text == null ? null : (JSON.parse(text) as T);
      } catch {
        return null;
      }
    },
    /** Returns whether the value was stored. */
    write(key: string, value: unknown): boolean {
      try {
        storage?.setItem(key, JSON.stringify(value));
        return storage !== null;
      } catch {
        return false;
      }
    },
    remove(key: string): void {
      try {
        storage?.removeItem(key);
      } catch {
        // Nothing is stored.
      }
    },
    keys(prefix: string): string[] {
      try {
        return Object.keys(storage ?? {}).filter((key) => key.startsWith(prefix));
      } catch {
        return [];
      }
    },
  };
}

/** Shared by all tabs; survives the browser's end. */
export const persistent = jsonStorage("localStorage");
/** Of this tab; survives a reload. */
export const perTab = jsonStorage("sessionStorage");
