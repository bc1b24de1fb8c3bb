// Lints schema.graphql with the recommended rules and Relay's rules.
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
          // Arguments of the directives of the specification.
          ignoredSelectors: ["DirectiveDefinition InputValueDefinition"],
        },
      ],
      // Values, events and payloads have no id. Objects with an id implement Node.
      "@graphql-eslint/strict-id-in-types": [
        "error",
        {
          exceptions: {
            suffixes: ["Payload", "Connection", "Edge", "Event"],
            types: [
              "Billing", "ChatroomCreated", "ChatroomDeleted", "ChatroomListReset", "ChatroomUpdated", "DailyUsage", "DataExport", "GenerationSettings", "MessageAdded", "MessageChanged",
              "Model", "PageInfo", "Price", "ReplyCancelled", "ReplyCompleted", "ReplyDelta", "ReplyFailed", "ReplyFailure", "ReplyRestarted", "SharedChatroom",
              "SharedMessage", "SubscriptionStatus",
              "TextRange", "TokenBudget", "TokenUsage", "Usage",
            ],
          },
        },
      ],
      // Connections also have `nodes`, and short lists that are always complete are not connections. The messages of a shared
      // chatroom have no ids, so that a link reveals nothing else.
      "@graphql-eslint/relay-edge-types": [
        "error",
        { withEdgeSuffix: true, shouldImplementNode: false, listTypeCanWrapOnlyEdgeType: false },
      ],
      // A search has no end to page back from.
      "@graphql-eslint/relay-arguments": ["error", { includeBoth: false }],
      // The rule ignores directives on scalars.
      "@graphql-eslint/no-unreachable-types": "off",
    },
  },
];
