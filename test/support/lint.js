/** A rule for oxlint: what `expect(…).rejects` or `.resolves` says holds nothing unless it is awaited. Its own rule knows no bun:test. */
const awaitedExpectation = {
  create: (context) => ({
    ExpressionStatement({ expression }) {
      for (let part = expression; part; part = part.callee ?? part.object)
        if (/^(rejects|resolves)$/.test(part.property?.name))
          context.report({ node: expression, message: "this expectation is not awaited" });
    },
  }),
};

export default { meta: { name: "tests" }, rules: { "awaited-expectation": awaitedExpectation } };
