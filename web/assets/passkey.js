// Passkeys: a form that asks the browser for one before it is sent. Without JavaScript, or without passkeys, these forms stay
// hidden, and the page offers a recovery code instead.

const able = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON && PublicKeyCredential.parseRequestOptionsFromJSON;

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!able) break;
  const part = form.closest("[data-passkey-part]") || form;
  part.hidden = false;
  form.addEventListener("submit", async (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    const failed = part.querySelector("[data-passkey-failed]");
    failed.hidden = true;
    const options = JSON.parse(form.dataset.options).publicKey;
    try {
      const credential = form.dataset.passkey === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      failed.hidden = false;
      failed.focus();
    }
  });
}
for (const without of document.querySelectorAll("[data-passkey-without]")) without.hidden = Boolean(able);
