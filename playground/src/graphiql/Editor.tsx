// GraphiQL with the session of the chat and the documented operations.
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { useState } from "react";
import { sessionStore } from "../api/tokens";
import { paths } from "../routes";
import { strings } from "../strings";
import { useStore } from "../ui/store";
import { themeStore } from "../ui/theme";
import { fetcher } from "./fetcher";
import { IntrospectionNotice } from "./IntrospectionNotice";
import { collections, OPERATIONS_PLUGIN } from "./collections";
import { EDITOR_THEMES, useEditorThemes } from "./editorThemes";
import { OperationTabs } from "./OperationTabs";
import { RunButton } from "./RunButton";
import { hasStoredTabs, headersOf, TokenHeaders } from "./TokenHeaders";

const PLUGINS = [OPERATIONS_PLUGIN, HISTORY_PLUGIN];

export function Editor() {
  const state = useStore(sessionStore);
  const theme = useStore(themeStore);
  useEditorThemes();
  // The editors keep their own contents; a refreshed token is put in by the fetcher.
  const [headers] = useState(() => headersOf(state.session?.accessToken ?? null));
  return (
    <main>
      <h1 className="visually-hidden">{strings.graphiql.title}</h1>
      <IntrospectionNotice />
      <GraphiQL
        fetcher={fetcher}
        plugins={PLUGINS}
        forcedTheme={theme}
        editorTheme={EDITOR_THEMES}
        defaultHeaders={headers}
        initialHeaders={headers}
        initialVariables={hasStoredTabs() ? undefined : collections[0]?.variables}
        defaultTabs={collections.map(({ query, variables }) => ({ query, variables, headers }))}
        defaultEditorToolsVisibility="variables"
        shouldPersistHeaders={false}
        showPersistHeadersSettings={false}
      >
        <GraphiQL.Logo>
          <OperationTabs />
          <a className="back-to-chat" href={paths.newChat}>
            {state.session ? strings.graphiql.backToChat : strings.graphiql.signIn}
          </a>
        </GraphiQL.Logo>
        <GraphiQL.Toolbar>
          {({ prettify, merge, copy }) => (
            <>
              <RunButton />
              {prettify}
              {merge}
              {copy}
              <TokenHeaders headers={headers} />
            </>
          )}
        </GraphiQL.Toolbar>
      </GraphiQL>
    </main>
  );
}
