import { strings } from "../strings";
import { Icon } from "../ui/Icon";

export function TemporaryNote() {
  return (
    <p className="chat-note" role="note">
      <Icon name="clock" />
      {strings.chat.temporaryNote}
    </p>
  );
}
