import { download } from "../api/download";
import { ApiError } from "../api/errors";
import { query } from "../api/request";
import { ExportChatroomDocument, type ExportFormat } from "../generated/operations";
import { strings } from "../strings";

const EXTENSIONS = { MARKDOWN: "md", JSON: "json" } as const;
const MAX_NAME_LENGTH = 80;

/** Saves the current branch of a chatroom as a file that is named after its title. Rejects with an ApiError. */
export async function exportChatroom(id: string, title: string, format: ExportFormat): Promise<void> {
  const { chatroom } = await query(ExportChatroomDocument, { id, format });
  if (!chatroom) throw new ApiError("NOT_FOUND", strings.chat.missingTitle);
  await download(chatroom.export.url, `${fileName(title)}.${EXTENSIONS[format]}`);
}

/** Without characters that have a meaning in paths. */
function fileName(title: string): string {
  const characters = title
    .replace(/[\p{Cc}\p{Cf}/\\:*?"<>|]+/gu, " ")
    .replace(/\s+/g, " ")
    .replace(/^[.\s]+/, "");
  const name = Array.from(characters).slice(0, MAX_NAME_LENGTH).join("").trim();
  return name === "" ? strings.product : name;
}
