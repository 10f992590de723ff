/** What a dry run looks at of the notices: nothing is sent. */
import type { Check } from "../run/checklist.ts";
import type { SettingName } from "../settings/settings.ts";
import { reach } from "../notify/http.ts";
import { checkMail } from "../notify/mail.ts";
import type { NoticeSettings } from "../notify/notify.ts";

/** How long (ms) each may take. */
const patience = 12_000;

/** One check for every way that is used; nothing is sent. */
export function checkNotices(settings: NoticeSettings): Check[] {
  const { EMAIL_NOTIFY_MODE: mode, SMTP_HOST, EMAIL_FROM, EMAIL_TO, NOTIFY_WEBHOOK_URL, HEALTHCHECK_URL } = settings;
  const mails = mode !== "NEVER" && Boolean(SMTP_HOST ?? EMAIL_FROM ?? EMAIL_TO);
  const checks = [
    ...(mails ? [{ what: "mail", look: () => checkMail(settings, patience) }] : []),
    ...(mode === "NEVER" ? [] : (NOTIFY_WEBHOOK_URL ?? []).map((url) => checkAddress("NOTIFY_WEBHOOK_URL", url))),
    ...(HEALTHCHECK_URL ? [checkAddress("HEALTHCHECK_URL", HEALTHCHECK_URL)] : []),
  ];
  const none = { skipped: "none set up; nobody will be told when a run fails (./help mail)" };
  return checks.length > 0 ? checks : [{ what: "notices", look: () => Promise.resolve(none) }];
}

const checkAddress = (setting: SettingName, address: string): Check => ({
  what: setting,
  async look() {
    const url = new URL(address);
    await reach(setting, url, patience);
    return `${url.host} answers, nothing was posted (help --test-notice does)`;
  },
});
