// Opens a page in Chromium and takes the steps that it is told on standard input; answers on standard output.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const job = JSON.parse(readFileSync(0, "utf8"));
const load = (file) => import(pathToFileURL(join(job.modules, file)));
const { default: puppeteer } = await load("puppeteer-core/lib/esm/puppeteer/puppeteer-core.js");
const axe = readFileSync(join(job.modules, "axe-core", "axe.min.js"), "utf8");

const browser = await puppeteer.launch({
  executablePath: job.browser,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"],
});
const page = await browser.newPage();
await page.setViewport({ width: job.width ?? 1280, height: job.height ?? 900 });
// Reduced motion, so that nothing is looked at while it changes its colour.
const media = (scheme) => page.emulateMediaFeatures([
  { name: "prefers-color-scheme", value: scheme },
  { name: "prefers-reduced-motion", value: "reduce" },
]);
await media(job.scheme ?? "light");
const requests = [];
const complaints = [];
page.on("request", (request) => requests.push(request.url()));
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));

const settled = "document.body.dataset.done !== undefined || !document.getElementById('trouble').hidden";
const steps = {
  /** Wait until there is an explanation, or an error is told. */
  settle: async () => (await page.waitForFunction(settled, { timeout: 120000 })) && null,
  /** Return what is shown: numbers, and the error that is told. */
  read: () => page.evaluate(async () => {
    const { page: site } = await import("./main.js");
    const trouble = document.getElementById("trouble");
    const latest = site && site.latest;
    const values = latest && Object.fromEntries(Object.entries(latest.values).map(([k, v]) => [k, { dims: v.dims, data: [...v.data] }]));
    return { ...latest, values, trouble: trouble.hidden ? null : trouble.textContent };
  }),
  upload: async ({ file }) => (await (await page.$("#file")).uploadFile(file)) ?? null,
  choose: async ({ name, value }) => page.evaluate((n, v) => void document.querySelector(`input[name="${n}"][value="${v}"]`).click(), name, value),
  select: async ({ selector, value }) => (await page.select(selector, value)) && null,
  fill: ({ selector, value }) => page.$eval(selector, (e, v) => void (e.value = v), value),
  click: async ({ selector }) => (await page.click(selector)) ?? null,
  key: async ({ key, focus }) => (focus && (await page.focus(focus)), await page.keyboard.press(key), null),
  evaluate: ({ code }) => page.evaluate(code),
  inWorker: ({ code }) => page.workers()[0].evaluate(code),
  /** Return what axe-core finds wrong. */
  axe: async () => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate("axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })");
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(" | ")}`);
  },
  /** Look at it on another screen. */
  look: async ({ width, scheme }) => {
    await page.setViewport({ width, height: 900 });
    await media(scheme);
    return null;
  },
  shot: async ({ file }) => (await page.screenshot({ path: file, fullPage: true })) && null,
};

try {
  await page.goto(job.address + (job.path ?? ""));
  const answers = [];
  for (const { do: what, ...given } of job.steps) answers.push((await steps[what](given)) ?? null);
  process.stdout.write(JSON.stringify({ answers, requests, complaints }));
} finally {
  await browser.close();
}
