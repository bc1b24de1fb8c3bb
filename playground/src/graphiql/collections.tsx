// The documented operations: the files of operations/, each in a tab, and as a list from which a tab can be opened again.
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import account from "../../operations/account.graphql?raw";
import chatrooms from "../../operations/chatrooms.graphql?raw";
import checkout from "../../operations/checkout.graphql?raw";
import quota from "../../operations/quota.graphql?raw";
import sendAndFollow from "../../operations/send-and-follow.graphql?raw";
import search from "../../operations/search.graphql?raw";
import share from "../../operations/share.graphql?raw";
import signIn from "../../operations/sign-in.graphql?raw";

interface Collection {
  title: string;
  query: string;
  /** Examples for the variables of all operations of the file. */
  variables: string;
}

const json = (variables: Record<string, unknown>) => JSON.stringify(variables, null, 2);

export const collections: readonly Collection[] = [
  { title: strings.graphiql.collections.signIn, query: signIn, variables: json({ phoneNumber: "+14155550123", otp: "" }) },
  { title: strings.graphiql.collections.chatrooms, query: chatrooms, variables: json({ title: "Stars", id: "" }) },
  {
    title: strings.graphiql.collections.sendAndFollow,
    query: sendAndFollow,
    variables: json({ chatroomId: "", content: "What is a pulsar?", messageId: "" }),
  },
  { title: strings.graphiql.collections.search, query: search, variables: json({ query: "pulsar" }) },
  { title: strings.graphiql.collections.share, query: share, variables: json({ chatroomId: "", id: "", token: "" }) },
  { title: strings.graphiql.collections.quota, query: quota, variables: json({}) },
  { title: strings.graphiql.collections.checkout, query: checkout, variables: json({ sessionId: "" }) },
  { title: strings.graphiql.collections.account, query: account, variables: json({ fullName: "Ada Lovelace" }) },
];

export const OPERATIONS_PLUGIN = {
  title: strings.graphiql.operations,
  icon: () => <Icon name="code" />,
  content: Operations,
};

function Operations() {
  const actions = useGraphiQLActions();
  const { queryEditor, variableEditor } = useGraphiQL(({ queryEditor, variableEditor }) => ({
    queryEditor,
    variableEditor,
  }));
  return (
    <section className="operations">
      <h2>{strings.graphiql.operations}</h2>
      <ul>
        {collections.map(({ title, query, variables }) => (
          <li key={title}>
            <button
              type="button"
              onClick={() => {
                actions.addTab();
                queryEditor?.setValue(query);
                variableEditor?.setValue(variables);
              }}
            >
              {title}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
