/** What a dry run looks at of the notices: nothing is sent. */
import type { Check } from "../run/checklist.ts";
import type { SettingName } from "../settings/settings.ts";
import { reach } from "../notify/http.ts";
import { checkMail } from "../notify/mail.ts";
import type { NoticeSettings } from "../notify/notify.ts";

/** In ms. */
const patience = 12_000;

/** One check for every way that is used. */
export function checkNotices(settings: NoticeSettings): Check[] {
  const { EMAIL_NOTIFY_MODE: mode, SMTP_HOST, EMAIL_FROM, EMAIL_TO, NOTIFY_WEBHOOK_URL, HEALTHCHECK_URL } = settings;
  const mails = mode !== "NEVER" && Boolean(SMTP_HOST ?? EMAIL_FROM ?? EMAIL_TO);
  const checks = [
    ...(mails ? [{ what: "mail", look: () => checkMail(settings, patience) }] : []),
    ...(mode !== "NEVER" && NOTIFY_WEBHOOK_URL ? [checkAddress("NOTIFY_WEBHOOK_URL", NOTIFY_WEBHOOK_URL)] : []),
    ...(HEALTHCHECK_URL ? [checkAddress("HEALTHCHECK_URL", HEALTHCHECK_URL)] : []),
  ];
  const none = { skipped: "none, so nobody hears of a run that fails (./help mail)" };
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
