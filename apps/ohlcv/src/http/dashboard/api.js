// Questions to this service's own API, and what it says when something is wrong.

const ANSWER_TIME_MAX_MS = 35_000;

export class ApiError extends Error {
  constructor(message, status = 0, code = '') {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, { signal, method = 'GET', key, body, headers = {} } = {}) {
  const limit = AbortSignal.timeout(ANSWER_TIME_MAX_MS);
  const all = { Accept: 'application/json', ...headers };
  if (key) all['X-API-KEY'] = key;
  if (body) all['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(path, {
      method, headers: all, body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(limit.aborted ? 'the service took too long to answer' : 'the service does not answer');
  }
  const said = await response.json().catch(() => null);
  if (!response.ok || said === null) {
    throw new ApiError(said?.detail ?? `the service answered ${response.status}`, response.status, said?.code);
  }
  return { said, next: nextOf(response.headers.get('Link')) };
}

function nextOf(link) {
  return /<([^>]*)>; rel="next"/.exec(link ?? '')?.[1] ?? null;
}

export async function get(path, options) {
  return (await ask(path, options)).said;
}

/** Up to `max` pages, from a path on. `rest` says whether there are more. */
export async function pages(path, max, signal) {
  const found = [];
  let next = path;
  while (next && found.length < max) {
    const answer = await ask(next, { signal });
    found.push(answer.said);
    next = answer.next;
  }
  return { found, rest: next !== null };
}

export function send(method, path, key, body, headers) {
  return ask(path, { method, key, body, headers }).then(({ said }) => said);
}

/** Path and parameters as a URL; what is undefined is left out. */
export function url(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return `${path}?${new URLSearchParams(given)}`;
}

export const ofAsset = (asset) => encodeURIComponent(asset);
