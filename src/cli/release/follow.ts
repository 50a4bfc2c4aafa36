/** Following a release: a live table on a terminal, plain lines elsewhere, one result line at the end. */
import type { Progress, ReleaseRef, SlipwayClient } from '../../client.ts';
import type { ReleaseStatus } from '../../domain/release/types.ts';
import { refusedByPreflight } from '../../domain/release/view.ts';
import { EXIT, exitOf } from '../exit.ts';
import { type Format, printData } from '../output.ts';
import { ProgressLines } from '../render/progress.ts';
import { renderResult, renderStatus } from '../render/status.ts';
import { plain } from '../render/text.ts';
import type { Session } from '../session.ts';

/** "in 47m" is redrawn this often, in milliseconds. */
const REDRAW_MS = 1_000;

interface FollowOptions {
  /** NAMESPACE/NAME, for messages. */
  target: string;
  timeoutMs?: number | undefined;
  output?: Format | undefined;
}

/** Returns the exit code: the outcome, or 6 when the release goes on without us. */
export async function follow(
  session: Session,
  client: SlipwayClient,
  ref: ReleaseRef,
  options: FollowOptions,
): Promise<number> {
  const { target, timeoutMs, output } = options;
  const data = output === 'json' || output === 'yaml' || output === 'name';
  const display =
    session.terminal.live && !data ? await liveDisplay(session, client) : plainDisplay(session, data);
  const { signal, stop } = session.interrupted();
  let view: Awaited<ReturnType<SlipwayClient['waitForOutcome']>>;
  try {
    view = await client.waitForOutcome(ref, {
      onProgress: (progress) => display.show(progress),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      signal,
    });
  } catch (error) {
    display.end(null);
    if (!signal.aborted) throw error;
    session.err(
      `Detached; the release of ${target} goes on. Come back with: slipway release watch ${target}`,
    );
    return EXIT.stillRunning;
  } finally {
    stop();
  }
  display.end(view?.status ?? null);
  if (!view) {
    session.err(`slipway: still in line at --timeout; come back with: slipway release watch ${target}`);
    return EXIT.stillRunning;
  }
  const { status, note } = view;
  // One that was replaced in line never ran.
  const url = status.run === '' ? null : client.workflowUrl(status.id, status.run);
  if (!(await printData(session, output, { ...status, url }))) {
    if (output === 'name') session.out(target);
    else printResult(session, status, { note, url });
  }
  return exitOf(status.outcome);
}

function printResult(
  session: Session,
  status: ReleaseStatus,
  more: { note: string | null; url: string | null },
): void {
  session.out(renderResult(status, session.colors));
  if (refusedByPreflight(status)) {
    for (const { level, fix } of status.findings)
      if (level === 'error' && fix) session.out(`What to do: ${plain(fix)}`);
  }
  if (more.note && more.note !== status.reason) session.out(`Note: ${more.note}`);
  if (status.outcome === null)
    session.out(`Come back with: slipway release watch ${status.namespace}/${status.workload}`);
  if (status.outcome === 'failed' && !refusedByPreflight(status)) {
    session.out(
      `If anything of it is left: slipway restore deployment ${status.namespace}/${status.workload}`,
    );
  }
  if (more.url) session.out(`Temporal UI: ${more.url}`);
}

interface Display {
  show(progress: Progress): void;
  /** Leaves the last state on the screen. */
  end(last: ReleaseStatus | null): void;
}

/** With `-o json` standard output holds the result alone, so progress goes to standard error. */
function plainDisplay(session: Session, data: boolean): Display {
  const lines = new ProgressLines();
  return {
    show(progress) {
      for (const line of lines.next(progress, session.now())) {
        if (data) session.err(line);
        else session.out(line);
      }
    },
    end: () => undefined,
  };
}

async function liveDisplay(session: Session, client: SlipwayClient): Promise<Display> {
  const { LiveArea } = await import('../render/live.ts');
  const area = new LiveArea(session);
  let latest: ReleaseStatus | null = null;
  let remark: string | null = null;
  const draw = () => {
    const { colors } = session;
    const now = session.now();
    if (latest) {
      const url = client.workflowUrl(latest.id, latest.run);
      area.draw(renderStatus(latest, { colors, now, url, note: remark }));
    } else if (remark) area.draw([remark]);
  };
  const timer = setInterval(draw, REDRAW_MS);
  return {
    show(progress) {
      if (progress.kind === 'status') [latest, remark] = [progress.status, null];
      else if (progress.kind === 'queued') remark = queueLine(progress.ahead);
      else remark = progress.message;
      draw();
    },
    end(last) {
      clearInterval(timer);
      if (last)
        area.draw([...renderStatus(last, { colors: session.colors, now: session.now(), url: null }), '']);
      area.close();
    },
  };
}

function queueLine(ahead: number | null): string {
  if (ahead === null || ahead === 0) return 'in line behind the release that runs now';
  return `in line: ${ahead} before it, and the one that runs now`;
}
