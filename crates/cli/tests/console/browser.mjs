// Drives the console in Chromium: node browser.mjs DRIVER URL FOLDER. Says what it saw; ends with 1 at the first surprise.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

const [driver, url, folder] = process.argv.slice(2);
const { chromium } = await import(driver);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const surprises = [];
const kept = "/apps/sqlpage/apps/kept";
const stripped = "/apps/plain/my%20apps/plain.plain";

/** A page whose errors and requests elsewhere are remembered. */
async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("pageerror", (error) => surprises.push(`error in the page: ${error.message}`));
  page.on("console", (message) => { if (message.type() === "error") surprises.push(`console: ${message.text()}`); });
  page.on("request", (request) => { if (!request.url().startsWith(url)) surprises.push(`request to ${request.url()}`); });
  return page;
}

async function shot(page, name) {
  await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
const row = (page, id) => page.locator("#rows tr", { hasText: id });

async function step(name, run) {
  await run();
  assert.deepEqual(surprises, [], name);
  console.log(`ok: ${name}`);
}

const page = await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });

await step("the page shows the services", async () => {
  await page.goto(`${url}/`);
  assert.equal(new URL(page.url()).pathname, "/.truth-yard/ui/");
  await row(page, "kept.db").locator(".state", { hasText: "ready" }).waitFor();
  await row(page, "ledger.db").locator(".state", { hasText: "stopped" }).waitFor();
  assert.equal(await page.locator("#rows tr").count(), 4);
});

await step("the filter narrows, from the keyboard", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type("sqlpage audit");
  assert.equal(await page.locator("#rows tr").count(), 1);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#rows tr").count(), 4);
});

await step("a line of a log appears as it is written", async () => {
  await row(page, "kept.db").getByRole("button", { name: "Logs of kept.db" }).click();
  await page.locator("#lines .stderr", { hasText: "listening below" }).waitFor();
  await page.request.get(`${url}${kept}/say?a-line-from-the-browser-test`);
  await page.locator("#lines .stderr", { hasText: /^a-line-from-the-browser-test$/ }).waitFor();
  await page.locator("#lines .stdout", { hasText: "GET /apps/sqlpage/apps/kept/say" }).waitFor();
  await page.locator("#out").uncheck();
  assert.equal(await page.locator("#lines .stdout").first().isVisible(), false);
  await page.locator("#out").check();
});

await step("health and the resolver answer", async () => {
  await page.getByRole("button", { name: "Check health" }).click();
  await page.locator("#routes .state.good").first().waitFor();
  await page.locator("#path").fill(`${kept}/x`);
  await page.getByRole("button", { name: "Resolve" }).click();
  await page.locator("#resolved", { hasText: "\"ok\": true" }).waitFor();
});

await step("it looks as it should, wide", async () => {
  await shot(page, "desktop-light");
  await page.emulateMedia({ colorScheme: "dark" });
  await shot(page, "desktop-dark");
});

await step("a service behind the proxy: redirect, cookie, WebSocket", async () => {
  for (const base of [kept, stripped]) {
    const app = await open({ viewport: { width: 800, height: 600 } });
    await app.goto(`${url}${base}/`);
    assert.equal(await app.locator("#cookie").textContent(), "no cookie");
    await app.locator("#login").click();
    await app.locator("#cookie", { hasText: "session=ok" }).waitFor();
    assert.equal(new URL(app.url()).pathname, `${base}/`);
    await app.locator("#echo", { hasText: "hello through the proxy" }).waitFor();
    await shot(app, base === kept ? "service-kept" : "service-stripped");
    await app.context().close();
  }
});

await step("the ledger can be browsed", async () => {
  const files = await open({ viewport: { width: 900, height: 600 } });
  await files.goto(`${url}/.truth-yard/ledger.d/`);
  await files.getByRole("link", { name: /^\d{4}-/ }).first().click();
  await files.getByRole("link", { name: "apps/", exact: true }).click();
  await files.getByRole("link", { name: "kept.db.context.json" }).waitFor();
  await shot(files, "files");
  await files.context().close();
});

await step("nothing is wider than a phone", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, colorScheme });
    await phone.goto(`${url}/.truth-yard/ui/#logs=kept.db`);
    await phone.locator("#lines .stderr", { hasText: "listening below" }).waitFor();
    const [content, screen] = await phone.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= screen, `${content} pixels on a screen of ${screen}`);
    await shot(phone, `phone-${colorScheme}`);
    await phone.context().close();
  }
});

await step("what does not agree appears by itself, with what to do", async () => {
  const answer = await (await page.request.get(`${url}/.truth-yard/api/tagged-processes.json`)).json();
  const audit = answer.taggedProcesses.find((process) => process.upstreamUrl.includes("audit"));
  for (const pid of [audit.context.keeper.pid, audit.pid]) execFileSync("kill", ["-KILL", String(pid)]);
  await page.locator("#drift li", { hasText: "Ledger without process" }).waitFor();
  await page.locator("#drift code", { hasText: "ledger yard start" }).waitFor();
  await row(page, "audit 2026.db").locator(".state.bad", { hasText: "dead" }).waitFor();
  await page.emulateMedia({ colorScheme: "light" });
  await shot(page, "drift");
});

await step("Escape closes the logs and leaves the focus on their button", async () => {
  await page.keyboard.press("Escape");
  await page.locator("#logs").waitFor({ state: "hidden" });
  await page.waitForFunction(() => document.activeElement?.getAttribute("aria-label") === "Logs of kept.db");
});

await browser.close();
