import { Icon } from "./Icon";

/** An error in words, announced when it appears. */
export function ErrorText({ children, id }: { children: string | null; id?: string }) {
  return (
    <div role="alert" id={id} className="live-slot">
      {children !== null && (
        <p className="error-text">
          <Icon name="warning" />
          <span>{children}</span>
        </p>
      )}
    </div>
  );
}
