/** A real HTTP server on loopback that writes down what it was asked. */
import { show } from "../machine/leaks.ts";

export interface Asked {
  method: string;
  /** Path with query string. */
  path: string;
  headers: Headers;
  body: string;
}

export interface HttpServer {
  url: string;
  asked: Asked[];
  stop(): Promise<void>;
}

/** Answers with what `answer` makes of the request and its number (from 1); 200 when it makes nothing. */
export function startHttpServer(
  answer: (asked: Asked, nth: number) => Response | Promise<Response> | undefined = () => undefined,
  tls?: { key: string; cert: string },
): HttpServer {
  const asked: Asked[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    ...(tls && { tls }),
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const { method, headers } = request;
      const one = { method, path: pathname + search, headers, body: await request.text() };
      show(`a ${method} to ${pathname}`, one.body);
      return (await answer(one, asked.push(one))) ?? new Response("OK");
    },
  });
  return { url: `${tls ? "https" : "http"}://127.0.0.1:${server.port}`, asked, stop: () => server.stop(true) };
}
