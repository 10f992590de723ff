/** Markdown that is imported as text becomes a part of the executables. */
declare module "*.md" {
  const text: string;
  export default text;
}
