// Where GraphiQL keeps its tabs. It never stores headers, so that tokens are not copied; restored tabs get the current token.

const NAMESPACE = "pollux.graphiql:";
const isTabsKey = (key: string) => key.endsWith("tabState");

export const headersOf = (token: string | null) => (token === null ? "" : JSON.stringify({ Authorization: `Bearer ${token}` }, null, 2));

export function tabStorage(headers: string): Storage {
  return {
    get length() {
      return localStorage.length;
    },
    clear: () => undefined,
    key: (index) => localStorage.key(index),
    getItem(key) {
      const value = localStorage.getItem(NAMESPACE + key);
      return value !== null && isTabsKey(key) ? withHeaders(value, headers) : value;
    },
    setItem: (key, value) => localStorage.setItem(NAMESPACE + key, value),
    removeItem: (key) => localStorage.removeItem(NAMESPACE + key),
  };
}

/** Whether tabs of an earlier visit are restored. */
export const hasStoredTabs = () => Object.keys(localStorage).some((key) => key.startsWith(NAMESPACE) && isTabsKey(key));

function withHeaders(value: string, headers: string): string {
  const state = JSON.parse(value) as { tabs: Record<string, unknown>[] };
  return JSON.stringify({ ...state, tabs: state.tabs.map((tab) => ({ ...tab, headers })) });
}
