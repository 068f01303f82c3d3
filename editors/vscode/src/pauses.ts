/** Where a person wants no suggestions. */

export interface Pauses {
  readonly workspace: boolean;
  readonly languages: readonly string[];
}

export function isPaused(pauses: Pauses, language: string | undefined): boolean {
  return pauses.workspace || (language !== undefined && pauses.languages.includes(language));
}

/** The list with `language` in it if it was not, else without it. */
export function toggled(languages: readonly string[], language: string): string[] {
  return languages.includes(language)
    ? languages.filter((each) => each !== language)
    : [...languages, language].sort();
}
