/** How the outside speaks to a release and what it shows: handlers only record intent, the story acts. */
import { log, setCurrentDetails, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import { alertFrom } from '../../domain/release/alerts.ts';
import { describeCommand, refusal, type Command } from '../../domain/release/commands.ts';
import type { ApproveCommand, PersonCommand } from '../../domain/release/types.ts';
import type { ReleaseRun } from '../../domain/release/run.ts';
import { statusOf } from '../../domain/release/status.ts';
import { currentDetails } from '../../domain/release/view.ts';
import * as messages from '../messages.ts';
import { refused } from '../refusal.ts';
import { PHASE } from '../showing.ts';

/** Registers every handler. Call before the first `await`, with the state complete. */
export function listen(run: ReleaseRun): void {
  const options = (command: Command) => ({
    description: describeCommand(command),
    validator: (sent: ApproveCommand | PersonCommand) => {
      const sentence = refusal(run, command, sent, Date.now());
      if (sentence) throw refused(sentence);
    },
  });
  const status = () => statusOf(run, Date.now());
  const take =
    <C extends PersonCommand>(act: (command: C, now: number) => void) =>
    (command: C) => {
      act(command, Date.now());
      return status();
    };

  setHandler(messages.status, status, { description: 'Where the release is, as JSON' });
  setHandler(
    messages.approve,
    take((c: ApproveCommand, now) => run.approved(c, now)),
    options('approve'),
  );
  setHandler(
    messages.reject,
    take((c: ApproveCommand, now) => {
      run.halt({ outcome: 'rejected', reason: `${c.by} rejected gate ${c.gate}: ${c.why}` }, now);
    }),
    options('reject'),
  );
  setHandler(
    messages.pause,
    take((c: PersonCommand, now) => run.pause(c.by, c.why ?? 'no reason given', now)),
    options('pause'),
  );
  setHandler(
    messages.resume,
    take((c: PersonCommand, now) => run.resume(c.by, now)),
    options('resume'),
  );
  setHandler(
    messages.promote,
    take((c: PersonCommand, now) => run.promoteNow(c.by, c.why ?? '', now)),
    options('promote'),
  );
  setHandler(
    messages.abort,
    take((c: PersonCommand, now) => {
      run.halt({ outcome: 'aborted', reason: `${c.by} aborted: ${c.why ?? ''}` }, now);
    }),
    options('abort'),
  );

  setHandler(
    messages.supersede,
    (by) => {
      run.halt(
        { outcome: 'superseded', reason: `superseded by ${by?.by ?? 'another release'}: ${by?.why ?? ''}` },
        Date.now(),
      );
    },
    { description: 'Roll back in favour of another release; sent by the release queue' },
  );
  setHandler(
    messages.alert,
    (sent) => {
      run.signals += 1;
      const notice = alertFrom(sent);
      if (notice) run.alerted(notice, Date.now());
      else log.warn('an alert without fingerprint or labels was ignored');
    },
    { description: 'An alert, as the gateway passes it on' },
  );
}

/** Shows the state once. The search attribute is written only when it changes: each write is an event. */
export function publish(run: ReleaseRun): void {
  setCurrentDetails(currentDetails(statusOf(run, Date.now())));
  if (run.phase === run.shownPhase) return;
  run.shownPhase = run.phase;
  upsertSearchAttributes([{ key: PHASE, value: run.phase }]);
}
