import { download } from "../api/download";
import { query } from "../api/request";
import { MyDataDocument } from "../generated/operations";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { useSubmit } from "../ui/useSubmit";
import { Section } from "./Section";

const FILE_NAME = "my-data.json";

export function YourData() {
  const { submit, isRunning, failure } = useSubmit(async () => {
    const { myData } = await query(MyDataDocument, {});
    await download(myData.url, FILE_NAME);
  });
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
