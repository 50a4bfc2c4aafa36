/** The Temporal UI in a headless Chromium: what an approver sees there and does there. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, chromium, type Locator, type Page, type Route } from 'playwright-core';
import { provision } from '../../../lab/provision.ts';

/** For each thing that must show up on a page. */
const SHOWN_WITHIN_MS = 60_000;
const OPENED_WITHIN_ATTEMPTS = 3;
/** A page that shows nothing for so long is opened again. */
const DRAWN_WITHIN_MS = 30_000;
/** For the account of a page that may be past answering. */
const TOLD_WITHIN_MS = 5_000;
/** A browser must start within this time. */
const STARTED_WITHIN_MS = 60_000;
/** High enough that a whole page is on one picture. */
const WINDOW = { width: 1280, height: 1500 };

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Nothing but this machine can be reached, whatever the page or the browser asks for.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

/** The lab's Chromium; provisioned when the machine has none. */
export async function openBrowser(): Promise<Browser> {
  const { chromium: part } = await provision(['chromium']);
  if (!part) throw new Error('no chromium was provisioned');
  return chromium.launch({ executablePath: part.path, args: ARGS, timeout: STARTED_WITHIN_MS });
}

/** What the page of a release tells. */
export interface Details {
  text: string;
  /** The JSON that it asks for; `null` when it wants nothing. */
  command: Record<string, string> | null;
}

export class TemporalUi {
  readonly page: Page;
  readonly #namespace: string;
  /** What went wrong in the page: errors of scripts, requests without an answer or with a bad one. */
  readonly #troubles: string[] = [];

  private constructor(page: Page, namespace: string) {
    this.page = page;
    this.#namespace = namespace;
    page.on('pageerror', (error) => this.#troubles.push(error.stack ?? error.message));
    page.on('console', (said) => said.type() === 'error' && this.#troubles.push(said.text()));
    page.on('requestfailed', (asked) =>
      this.#troubles.push(`${asked.method()} ${asked.url()}: ${asked.failure()?.errorText}`),
    );
    page.on('response', (answer) => {
      if (answer.status() >= 400) this.#troubles.push(`${answer.status()} ${answer.url()}`);
    });
  }

  /** A window of its own, without cookies or storage of earlier ones. `url` is the UI's address without a path. */
  static async open(browser: Browser, url: string): Promise<TemporalUi> {
    const page = await browser.newPage({ viewport: WINDOW });
    page.setDefaultTimeout(SHOWN_WITHIN_MS);
    await page.route(`${url}/**`, carry);
    return new TemporalUi(page, `${url}/namespaces/default`);
  }

  close(): Promise<void> {
    return this.page.close();
  }

  /** Opens a page; again when the UI says "Try a refresh" or shows nothing, as it does when a request of its own has failed. */
  async goto(address: string): Promise<void> {
    for (let attempt = 1; attempt <= OPENED_WITHIN_ATTEMPTS; attempt++) {
      if (await this.#opens(address)) return;
    }
    throw new Error(`${address} shows no page of the UI: ${await this.shown()}`);
  }

  async #opens(address: string): Promise<boolean> {
    const drawn = this.page.getByRole('link', { name: 'Workflows' }).first();
    const failed = this.page.getByText("Uh oh. There's an error.").first();
    try {
      // Not until every request is over: pages keep asking for more history as long as a workflow runs.
      await this.page.goto(address, { waitUntil: 'domcontentloaded' });
      await drawn.or(failed).first().waitFor({ timeout: DRAWN_WITHIN_MS });
      return !(await failed.isVisible());
    } catch (error) {
      this.#troubles.push(`not opened: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  /** Opens the page of one run where it tells how it is. */
  async openRelease({ id, run }: { id: string; run: string | null }): Promise<void> {
    const path = [id, run ?? ''].map(encodeURIComponent).join('/');
    await this.goto(`${this.#namespace}/workflows/${path}/user-metadata`);
  }

  /** Waits until the current details say this. */
  async read(heading: string): Promise<Details> {
    const frame = this.#details();
    await frame.getByText(heading).first().waitFor();
    const blocks = await frame.locator('pre').allInnerTexts();
    const command = blocks[0] === undefined ? null : (JSON.parse(blocks[0]) as Record<string, string>);
    return { text: await frame.locator('body').innerText(), command };
  }

  /** Asks for the details anew, as the page tells its reader to. */
  async refresh(): Promise<void> {
    await this.page.locator('body').press('r');
  }

  /** Opens the dialog, chooses an Update, pastes the JSON and submits. Answers the dialog, which stays when it is refused. */
  async sendUpdate(name: string, payload: object, picture?: string): Promise<Locator> {
    const { page } = this;
    await page.getByRole('button', { name: 'More Actions' }).click();
    await page.getByRole('menuitem', { name: 'Send an Update' }).click();
    // The page keeps a second dialog, for signals, out of sight.
    const dialog = page.getByRole('dialog').filter({ visible: true });
    await dialog.getByTestId('update-select-button').click();
    await dialog
      .getByRole('option')
      .filter({ hasText: new RegExp(`^\\s*${name}\\b`) })
      .click();
    const editor = dialog.getByRole('textbox', { name: 'Data' });
    await editor.click();
    // Inserted whole, as a paste: the editor closes brackets by itself while somebody types.
    await page.keyboard.insertText(JSON.stringify(payload));
    // Leaving the editor lays the JSON out anew, over several lines, which moves the button away from under a click.
    await dialog.getByTestId('update-id').click();
    await editor.filter({ hasText: /^\{\s/ }).waitFor();
    if (picture) await this.picture(picture);
    await dialog.getByTestId('confirm-modal-button').click();
    return dialog;
  }

  /** Address, text and troubles of the page, for the account of a test that failed. Never fails itself. */
  async shown(): Promise<string> {
    const body = this.page.locator('body').innerText({ timeout: TOLD_WITHIN_MS });
    const text = await body.catch((error: unknown) => `no text: ${String(error)}`);
    return [this.page.url(), text, ...this.#troubles].join('\n');
  }

  /** Saves what is seen as NAME.png in the folder that SLIPWAY_PICTURES names; does nothing without one. */
  async picture(name: string): Promise<void> {
    const folder = process.env['SLIPWAY_PICTURES'];
    if (!folder) return;
    await mkdir(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`) });
  }

  /** Markdown is drawn inside frames: summary, details, current details. */
  #details(): ReturnType<Page['frameLocator']> {
    return this.page.frameLocator('iframe').last();
  }
}

/**
 * Requests of the page go through this process. Chromium itself drops all it has under way whenever any network interface
 * of the machine gets or loses an address (ERR_NETWORK_CHANGED), which every pod that starts or ends brings about, and no
 * setting of it prevents that. The UI asks for nothing twice: it stays blank or says "Uh oh" then.
 */
async function carry(route: Route): Promise<void> {
  try {
    // Some answers wait for what happens next.
    await route.fulfill({ response: await route.fetch({ timeout: 0 }) });
  } catch {
    // The server is not there, or the page is not there any more.
    await route.abort().catch(() => {});
  }
}
