/** Files that are generated from the settings: their paths from the repository's root, and their content. */
export const generatedFiles = (): Record<string, string> => ({});
