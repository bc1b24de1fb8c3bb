// Reads the test servers that stand for Gemini and for OpenAI with the providers' own SDKs. A test compares the output.
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const [openaiUrl, geminiUrl] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));

async function withOpenAi() {
  const client = new OpenAI({ apiKey: "test-key", baseURL: openaiUrl, maxRetries: 0 });
  const messages = [{ role: "user", content: "Hi" }];
  const chunks = await client.chat.completions.create({
    model: "gpt-a", messages, stream: true, stream_options: { include_usage: true },
  });
  let [text, reason, usage, model] = ["", null, null, null];
  for await (const chunk of chunks) {
    text += chunk.choices[0]?.delta.content ?? "";
    reason = chunk.choices[0]?.finish_reason ?? reason;
    usage = chunk.usage ?? usage;
    model = chunk.model;
  }
  print({ text, reason, model, total: usage.total_tokens, thoughts: usage.completion_tokens_details.reasoning_tokens });
  // The SDK's own assembly of the chunks checks that they belong together.
  const assembled = await client.chat.completions.stream({ model: "gpt-a", messages }).finalChatCompletion();
  print({ text: assembled.choices[0].message.content, reason: assembled.choices[0].finish_reason });
  const failed = client.chat.completions.create({ model: "gone", messages, stream: true });
  const error = await failed.then(() => undefined, (error) => error);
  print({ error: error?.constructor.name, status: error?.status, code: error?.code, type: error?.type });
}

async function withGemini() {
  const client = new GoogleGenAI({ apiKey: "test-key", httpOptions: { baseUrl: geminiUrl } });
  const request = { model: "model-a", contents: [{ role: "user", parts: [{ text: "Hi" }] }] };
  let [text, reason, usage, model] = ["", null, null, null];
  for await (const chunk of await client.models.generateContentStream(request)) {
    text += chunk.text ?? "";
    reason = chunk.candidates?.[0]?.finishReason ?? reason;
    usage = chunk.usageMetadata ?? usage;
    model = chunk.modelVersion;
  }
  print({ text, reason, model, total: usage.totalTokenCount, thoughts: usage.thoughtsTokenCount });
  const failed = client.models.generateContentStream(request);
  const error = await failed.then(() => undefined, (error) => error);
  print({ error: error?.constructor.name, status: error?.status, name: JSON.parse(error?.message ?? "{}").error?.status });
}

await withOpenAi();
await withGemini();
