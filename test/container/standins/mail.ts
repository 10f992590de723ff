/** Stands in for mailpit, the demo's mail catcher: takes mails on port 1025 and lists their subjects on 8025. */
import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";

const messages: { Subject: string }[] = [];
new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS", "AUTH"],
  onData(stream, _, done) {
    simpleParser(stream, (error, mail) => {
      if (!error) messages.push({ Subject: mail.subject ?? "" });
      done();
    });
  },
}).listen(1025, "0.0.0.0");
Bun.serve({ hostname: "0.0.0.0", port: 8025, fetch: () => Response.json({ total: messages.length, messages }) });
