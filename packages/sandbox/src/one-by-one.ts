/**
 * Asks anew for each question of a batch that failed as a whole, so that only the guilty ones have a fault.
 * @param firstFaultEnds nothing is asked after the first fault: each may take as long as the batch did
 */
export async function oneByOne<Question, Answer>(
  questions: readonly Question[],
  ask: (question: Question) => Promise<Answer | Error>,
  firstFaultEnds: boolean,
): Promise<(Answer | Error)[]> {
  const answers: (Answer | Error)[] = []
  let ended = false
  for (const question of questions) {
    const answer: Answer | Error = ended
      ? new Error('it was not looked at after the fault of another')
      : await ask(question)
    answers.push(answer)
    ended ||= firstFaultEnds && answer instanceof Error
  }
  return answers
}
