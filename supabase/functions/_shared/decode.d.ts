// deno-lint-ignore-file
// deno-fmt-ignore-file
export function decode(base64: string): Promise<BufferSource>;
