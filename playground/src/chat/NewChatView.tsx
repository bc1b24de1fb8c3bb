import { useEffect, useState } from "react";
import { accountStore } from "../account/accountStore";
import { query } from "../api/request";
import { ModelsDocument, type ModelsQuery } from "../generated/operations";
import { createdChatrooms } from "../outbox/deliver";
import { outboxStore } from "../outbox/outbox";
import { sendMessage } from "../outbox/send";
import { navigate, paths } from "../routes";
import { strings } from "../strings";
import { Icon, Logo } from "../ui/Icon";
import { useStore } from "../ui/store";
import { Composer } from "./Composer";
import { editInComposer } from "./composerText";
import { Header } from "./Header";
import { PendingMessage } from "./PendingMessage";
import { TemporaryNote } from "./TemporaryNote";

/** A chatroom that is created with its first message. */
export function NewChatView({ userId, onOpenSidebar }: { userId: string; onOpenSidebar: () => void }) {
  const pending = useStore(outboxStore).filter(({ chatroomId }) => chatroomId === null);
  const [sentKey, setSentKey] = useState<string | null>(null);
  const [model, setModel] = useState<string | null>(null);
  const [isTemporary, setIsTemporary] = useState(false);

  useEffect(() => {
    const open = (key: string, chatroomId: string) => {
      if (key === sentKey) navigate(paths.chat(chatroomId), { replace: true });
    };
    createdChatrooms.add(open);
    return () => void createdChatrooms.delete(open);
  }, [sentKey]);

  return (
    <>
      <Header title={strings.sidebar.newChat} onOpenSidebar={onOpenSidebar}>
        <button
          type="button"
          className="button toggle"
          aria-pressed={isTemporary}
          aria-label={strings.chat.temporary}
          title={strings.chat.temporary}
          onClick={() => setIsTemporary((before) => !before)}
        >
          <Icon name="clock" />
          <span>{strings.chat.temporary}</span>
        </button>
      </Header>
      <main className="chat">
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrollable region must be focusable */}
        <div className="messages-scroll" role="region" aria-label={strings.chat.log} tabIndex={0}>
          <div className="messages">
            {pending.length === 0 ? (
              <Welcome />
            ) : (
              pending.map((message) => <PendingMessage key={message.key} message={message} />)
            )}
          </div>
        </div>
        <div className="composer-area">
          {isTemporary && <TemporaryNote />}
          <Composer
            chatroomId={null}
            userId={userId}
            onSend={(content) => setSentKey(sendMessage({ chatroomId: null, model, isTemporary, content, after: null }))}
            onStop={null}
          >
            <ModelSelect value={model} onChange={setModel} />
          </Composer>
        </div>
      </main>
    </>
  );
}

function Welcome() {
  return (
    <div className="empty">
      <Logo />
      <h2>{strings.chat.emptyTitle}</h2>
      <p className="quiet">{strings.chat.emptyText}</p>
      <ul className="suggestions">
        {strings.chat.suggestions.map((suggestion) => (
          <li key={suggestion}>
            <button type="button" className="button" onClick={() => editInComposer(suggestion)}>
              {suggestion}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Nothing, while the server offers a single model. Models of Pro are disabled for other users. */
function ModelSelect({ value, onChange }: { value: string | null; onChange: (model: string) => void }) {
  const [models, setModels] = useState<ModelsQuery["models"]>([]);
  const isPro = useStore(accountStore)?.subscription.tier === "PRO";
  useEffect(() => {
    // Without the list, the default model is used.
    query(ModelsDocument, {}).then(
      (result) => setModels(result.models),
      () => undefined,
    );
  }, []);
  if (models.length < 2) return null;
  return (
    <select
      className="model-select"
      aria-label={strings.chat.model}
      value={value ?? models.find(({ isDefault }) => isDefault)?.name}
      onChange={(event) => onChange(event.target.value)}
    >
      {models.map(({ name, tier }) => {
        const isDisabled = tier === "PRO" && !isPro;
        return (
          <option key={name} value={name} disabled={isDisabled}>
            {isDisabled ? strings.chat.modelOfPro(name) : name}
          </option>
        );
      })}
    </select>
  );
}
