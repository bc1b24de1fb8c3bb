import type { Feedback } from "../generated/operations";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";

const CHOICES = [
  ["UP", strings.reply.good, "thumbUp"],
  ["DOWN", strings.reply.bad, "thumbDown"],
] as const;

/** Rates a reply; pressing a button again removes the rating. */
export function FeedbackButtons({
  feedback,
  onChange,
}: {
  feedback: Feedback | null;
  onChange: (feedback: Feedback | null) => void;
}) {
  return (
    <span className="feedback" role="group" aria-label={strings.reply.feedback}>
      {CHOICES.map(([value, label, icon]) => (
        <button
          key={value}
          type="button"
          className="icon-button small"
          aria-label={label}
          title={label}
          aria-pressed={feedback === value}
          onClick={() => onChange(feedback === value ? null : value)}
        >
          <Icon name={icon} />
        </button>
      ))}
    </span>
  );
}
