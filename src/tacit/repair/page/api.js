// Asking the server, which is this machine.

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function read(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { error: text.trim() || response.statusText };
  }
}

export async function ask(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null);
  const search = new URLSearchParams(given);
  const response = await fetch(`${path}?${search}`);
  const told = await read(response);
  if (!response.ok) throw new Refusal(response.status, told.error);
  return told;
}

export async function send(user, verdicts) {
  const response = await fetch("/api/verdicts", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Tacit": "1" },
    body: JSON.stringify({ user, verdicts }),
    signal: AbortSignal.timeout(20000),
  });
  const told = await read(response);
  if (response.ok || response.status === 409) return told;
  throw new Refusal(response.status, told.error);
}
