// Starts and stops single components of a lab.
import { mkdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { Component } from './components/component.ts';
import { LabError, messageOf } from './errors.ts';
import type { Lab } from './lab.ts';
import { portIsFree } from './ports.ts';
import { isAlive, spawnDaemon, stopAll } from './processes.ts';
import { eventually, sleep } from './wait.ts';

const PROBE_PAUSE_MS = 50;
const STOP_GRACE_MS = 10_000;
const LOG_LIMIT = 50 * 1024 * 1024;

export const logFile = (lab: Lab, name: string): string => join(lab.paths.logs, `${name}.log`);

/** Starts the component unless its process lives, and waits until it answers and is set up. */
export async function startComponent(lab: Lab, component: Component): Promise<void> {
  const { name } = component;
  if (!isAlive(lab.state.processes[name])) {
    const { part, args, env } = await component.launch(lab);
    await portsFree(lab, component);
    mkdirSync(lab.paths.logs, { recursive: true });
    shorten(logFile(lab, name));
    lab.state.processes[name] = spawnDaemon({
      labDir: lab.paths.dir,
      name,
      command: lab.program(part),
      args,
      logFile: logFile(lab, name),
      ...(env && { env }),
    });
    lab.save();
  }
  await untilReady(lab, component);
  await component.settle?.(lab);
}

/** A process that was just killed may hold its sockets a moment longer than its entry in the process table. */
async function portsFree(lab: Lab, { name, ports }: Component): Promise<void> {
  for (const port of ports.map((each) => lab.port(each))) {
    if (await eventually(() => portIsFree(port), { timeoutMs: 10_000, pauseMs: 20 })) continue;
    throw new LabError(
      `${name} needs port ${port}, which another program holds: end that one, or run "npm run lab -- up" for another port`,
    );
  }
}

/** A log that grew over many starts does not fill the disk. */
function shorten(file: string): void {
  try {
    if (statSync(file).size > LOG_LIMIT) truncateSync(file);
  } catch {
    // there is none yet
  }
}

async function untilReady(lab: Lab, component: Component): Promise<void> {
  const end = Date.now() + component.readyTimeoutMs;
  let reason = '';
  for (;;) {
    try {
      if (await component.ready(lab)) return;
    } catch (error) {
      reason = `; the last answer was: ${messageOf(error)}`;
    }
    if (!isAlive(lab.state.processes[component.name]))
      throw failed(lab, component, 'ended right after its start');
    if (Date.now() > end)
      throw failed(lab, component, `was not ready within ${component.readyTimeoutMs / 1000} s${reason}`);
    await sleep(PROBE_PAUSE_MS);
  }
}

function failed(lab: Lab, { name }: Component, what: string): LabError {
  const file = logFile(lab, name);
  let tail = '';
  try {
    tail = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-8).join('\n  ');
  } catch {
    // it wrote nothing
  }
  return new LabError(`${name} ${what}; its log ${file} ends with:\n  ${tail}`);
}

export async function stopComponent(lab: Lab, name: string): Promise<void> {
  const record = lab.state.processes[name];
  if (isAlive(record)) await stopAll([record], STOP_GRACE_MS);
  delete lab.state.processes[name];
  lab.save();
}
