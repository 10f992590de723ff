/** Frequent requests pass by most layers of the SDK, which take 0.5 ms of CPU time for each: small files, manifests. */
import { createHash } from "node:crypto";
import { HeadBucketCommand, type S3Client, type ServiceInputTypes, type ServiceOutputTypes } from "@aws-sdk/client-s3";
import type { EndpointV2, HttpRequest, HttpResponse, InitializeMiddleware, RequestSigner } from "@smithy/types";
import { fetchHandler } from "./http.ts";

/** Where the SDK would send requests for a bucket. Sends nothing; throws when there are no credentials. */
export async function endpointOf(client: S3Client, bucket: string): Promise<EndpointV2> {
  const command = new HeadBucketCommand({ Bucket: bucket });
  const found = Promise.withResolvers<EndpointV2>();
  command.middlewareStack.add(
    (_, context) => () => {
      found.resolve(context.endpointV2);
      return Promise.resolve({ response: undefined, output: { $metadata: {} } });
    },
    { step: "build", name: "endpointOf" },
  );
  await client.send(command);
  return found.promise;
}

/**
 * Content-MD5 of a body: every provider verifies it, and a bucket with Object Lock demands it. It is signed, so the bytes
 * themselves need not be: their sha256 would cost us and the server another 0.6 s of CPU a GiB.
 */
export const bodyHeaders = (body: Uint8Array | string): Record<string, string> => ({
  "content-md5": createHash("md5").update(body).digest("base64"),
  ...(typeof body !== "string" && { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" }),
});

/** Parts of the SDK's client that its declaration leaves out. */
interface Parts {
  signer(scheme: object): Promise<RequestSigner>;
  protocol: {
    serializeRequest(operation: object, input: object, context: object): Promise<HttpRequest>;
    deserializeResponse(operation: object, context: object, response: HttpResponse): Promise<ServiceOutputTypes>;
  };
}

/** What the SDK knows of a request before its first layer. */
interface Context {
  __smithy_context: { operationSchema: readonly unknown[]; abortSignal?: AbortSignal };
}

/** What is sent thousands of times in a run. */
const frequent = new Set(["PutObjectCommand", "UploadPartCommand", "GetObjectCommand"]);

/** Lets frequent requests use only four parts of the SDK: serializer, signer, handler, reader of answers. */
export function sendDirectly(client: S3Client): void {
  const config = client.config as typeof client.config & Parts;
  const findRoute = async (bucket: string) => {
    const endpoint = await endpointOf(client, bucket);
    const [scheme = { name: "" }] = (endpoint.properties?.authSchemes ?? []) as { name: string }[];
    return {
      endpoint,
      scheme,
      signer: await config.signer(scheme),
      // serializer and reader want the whole configuration
      all: { ...config, endpoint: () => Promise.resolve(endpoint) },
    };
  };
  let route: Awaited<ReturnType<typeof findRoute>> | undefined;
  const direct: InitializeMiddleware<ServiceInputTypes, ServiceOutputTypes> = (next, context) => async (args) => {
    const { Body, Bucket } = args.input as { Body?: Uint8Array; Bucket?: string };
    if (!frequent.has(context.commandName ?? "") || Bucket === undefined) return next(args);
    const { endpoint, scheme, signer, all } = (route ??= await findRoute(Bucket));
    // directory buckets and access points of several regions are signed by other rules
    if (scheme.name !== "sigv4") return next(args);
    const { operationSchema, abortSignal } = (context as unknown as Context).__smithy_context;
    const [, namespace, name, traits, input, output] = operationSchema;
    const operation = { namespace, name, traits, input, output };
    const request = await config.protocol.serializeRequest(operation, args.input, all);
    Object.assign(request.headers, Body && bodyHeaders(Body), { host: endpoint.url.host });
    const signed = await signer.sign(request, { signingDate: new Date(Date.now() + config.systemClockOffset) });
    const { response } = await fetchHandler.handle(signed as Parameters<typeof fetchHandler.handle>[0], {
      abortSignal,
    });
    // as the SDK does: the next request is signed by the server's clock
    const time = Date.parse(response.headers.date ?? "");
    if (!Number.isNaN(time) && response.headers.age === undefined) config.systemClockOffset = time - Date.now();
    try {
      return { response, output: await config.protocol.deserializeResponse(operation, all, response) };
    } catch (error) {
      throw Object.assign(error as Error, { $response: response, $metadata: { httpStatusCode: response.statusCode } });
    }
  };
  client.middlewareStack.add(direct, { step: "initialize", priority: "high", name: "sendDirectly" });
}
