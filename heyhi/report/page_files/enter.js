// What the address with the token shows: it gives the page's storage the key, and leads to the same address without.

const { key } = document.currentScript.dataset;
const here = new URL(location.href);
here.searchParams.delete("token");
let isKept = true;
try {
  if (key) localStorage.setItem("heyhi-key", key); // where no other port of this machine reads it
} catch {
  isKept = false;
}
if (isKept) location.replace(here.href);
else if (window !== top) location.replace(`${here.pathname}${here.hash || "#"}&heyhi-key=${key}`); // the page takes it away
else document.documentElement.textContent = "This page keeps a key in the browser's storage: allow it for this address.";
