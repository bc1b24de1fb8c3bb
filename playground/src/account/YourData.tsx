import { authorizedFetch } from "../api/authorizedFetch";
import { serverUrl } from "../api/endpoint";
import { ApiError } from "../api/errors";
import { query } from "../api/request";
import { MyDataDocument } from "../generated/operations";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { useSubmit } from "../ui/useSubmit";
import { Section } from "./Section";

const FILE_NAME = "my-data.json";

export function YourData() {
  const { submit, isRunning, failure } = useSubmit(download);
  return (
    <Section title={strings.account.data} text={strings.account.dataText}>
      <div className="actions">
        <button type="button" className="button" disabled={isRunning} onClick={() => submit()}>
          {strings.account.download}
        </button>
      </div>
      <ErrorText>{failure?.text ?? null}</ErrorText>
    </Section>
  );
}

/** A plain link could not send the access token. */
async function download(): Promise<void> {
  const { myData } = await query(MyDataDocument, {});
  const response = await authorizedFetch(serverUrl(myData.url));
  if (response.status === 429) {
    throw new ApiError("RATE_LIMITED", "", { retryAfter: Number(response.headers.get("retry-after") ?? 60) });
  }
  if (!response.ok) throw new ApiError("NETWORK", `status ${response.status}`);
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = FILE_NAME;
  link.click();
  URL.revokeObjectURL(url);
}
