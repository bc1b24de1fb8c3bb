import { useEffect, useState } from "react";
import { GRAPHQL_URL } from "../api/endpoint";
import { strings } from "../strings";

const PROBE = "{ __schema { queryType { name } } }";

/** Says so when the server does not describe its schema, without which GraphiQL can neither complete nor document anything. */
export function IntrospectionNotice() {
  const [isOff, setIsOff] = useState(false);
  useEffect(() => {
    const headers = { "content-type": "application/json" };
    fetch(GRAPHQL_URL, { method: "POST", headers, body: JSON.stringify({ query: PROBE }) })
      .then((response) => response.json() as Promise<{ data?: { __schema?: unknown } }>)
      .then(
        ({ data }) => setIsOff(!data?.__schema),
        () => undefined,
      );
  }, []);
  if (!isOff) return null;
  return (
    <p className="introspection-notice" role="alert">
      {strings.graphiql.introspectionOff}
    </p>
  );
}
