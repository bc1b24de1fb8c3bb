// What schema.graphql is checked for: GraphQL's own recommendations and Relay's.
import graphql from "@graphql-eslint/eslint-plugin";

export default [
  {
    files: ["**/*.graphql"],
    plugins: { "@graphql-eslint": graphql },
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: "schema.graphql" } } },
    rules: {
      ...graphql.configs["flat/schema-recommended"].rules,
      ...graphql.configs["flat/schema-relay"].rules,
      "@graphql-eslint/require-description": [
        "error",
        {
          types: true,
          rootField: true,
          DirectiveDefinition: true,
          EnumValueDefinition: true,
          FieldDefinition: true,
          InputValueDefinition: true,
          // Those of the specification's own directives.
          ignoredSelectors: ["DirectiveDefinition InputValueDefinition"],
        },
      ],
      // Values, events and answers have no identity of their own: what has one is a Node.
      "@graphql-eslint/strict-id-in-types": [
        "error",
        {
          exceptions: {
            suffixes: ["Payload", "Connection", "Edge", "Event"],
            types: [
              "ChatroomDeleted", "ChatroomUpdated", "DataExport", "MessageAdded", "MessageChanged", "Model", "PageInfo", "ReplyCancelled",
              "ReplyCompleted", "ReplyDelta", "ReplyFailed", "ReplyFailure", "ReplyRestarted", "SubscriptionStatus",
              "TokenUsage", "Usage",
            ],
          },
        },
      ],
      // A connection has `nodes` beside its edges, and short lists that are always given whole are no connections.
      "@graphql-eslint/relay-edge-types": [
        "error",
        { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false },
      ],
      // It does not count a directive on a scalar.
      "@graphql-eslint/no-unreachable-types": "off",
    },
  },
];
