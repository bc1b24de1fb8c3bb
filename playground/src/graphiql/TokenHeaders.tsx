import { useGraphiQL } from "@graphiql/react";
import { useEffect } from "react";

const TABS_KEY = "graphiql:tabState";

export const headersOf = (token: string | null) =>
  token === null ? "" : JSON.stringify({ Authorization: `Bearer ${token}` }, null, 2);

/** Whether GraphiQL restores the tabs of an earlier visit. */
export const hasStoredTabs = () => localStorage.getItem(TABS_KEY) !== null;

/** Puts the token into tabs without headers: GraphiQL restores tabs without them, so that tokens are not stored twice. */
export function TokenHeaders({ headers }: { headers: string }) {
  const { headerEditor, activeTabIndex } = useGraphiQL(({ headerEditor, activeTabIndex }) => ({
    headerEditor,
    activeTabIndex,
  }));
  useEffect(() => {
    if (headerEditor?.getValue().trim() === "") headerEditor.setValue(headers);
  }, [headerEditor, activeTabIndex, headers]);
  return null;
}
