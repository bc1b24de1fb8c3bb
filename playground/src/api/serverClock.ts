// The server's clock, from the Date header of its responses: the clock of a device can be wrong by hours.

let offset = 0;

export function readServerClock(headers: Headers): void {
  const time = Date.parse(headers.get("date") ?? "");
  if (!Number.isNaN(time)) offset = time - Date.now();
}

export const serverNow = () => Date.now() + offset;
