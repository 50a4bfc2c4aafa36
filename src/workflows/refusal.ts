import { ApplicationFailure } from '@temporalio/workflow';

/** What a validator throws: a sentence for a person. The Temporal UI prints a stack below it, so it has none. */
export function refused(sentence: string, type = 'Refused'): ApplicationFailure {
  const failure = ApplicationFailure.nonRetryable(sentence, type);
  failure.stack = '';
  return failure;
}
