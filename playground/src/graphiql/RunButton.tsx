// Runs an operation. In place of GraphiQL's button, whose menu sets aria-hidden on focusable elements of the page.
import { KEY_MAP, PlayIcon, StopIcon, formatShortcutForOS, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { strings } from "../strings";

const CHOICE = "operation-choice";
const SHORTCUT = formatShortcutForOS(KEY_MAP.runQuery.key, "Cmd");

export function RunButton() {
  const actions = useGraphiQLActions();
  const { operations = [], isRunning } = useGraphiQL(({ operations, isFetching, subscription }) => ({
    operations,
    isRunning: isFetching || Boolean(subscription),
  }));
  const hasChoice = operations.length > 1;
  const label = isRunning ? strings.graphiql.stop(SHORTCUT) : strings.graphiql.run(SHORTCUT);
  const action =
    !isRunning && hasChoice ? { popoverTarget: CHOICE } : { onClick: () => (isRunning ? actions.stop() : actions.run()) };
  return (
    <>
      <button type="button" className="run-button" aria-label={label} title={label} {...action}>
        {isRunning ? <StopIcon aria-hidden="true" /> : <PlayIcon aria-hidden="true" />}
      </button>
      {hasChoice && (
        <ul id={CHOICE} className="operation-choice" popover="auto" aria-label={strings.graphiql.choice}>
          {operations.map(({ name, operation }, index) => (
            <li key={index}>
              <button
                type="button"
                popoverTarget={CHOICE}
                popoverTargetAction="hide"
                onClick={() => {
                  if (name) actions.setOperationName(name.value);
                  actions.run();
                }}
              >
                {name?.value ?? operation}
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
