// Asks for the data of a live page while its larger scripts are read; connection.js takes the answer.

{
  let key = null;
  try {
    key = localStorage.getItem("heyhi-key");
  } catch {
    // storage is closed to this page
  }
  key ??= new URLSearchParams(location.hash.slice(1)).get("heyhi-key");
  globalThis.earlyData = key === null || document.hidden ? null : fetch("data", { headers: { "HeyHi-Key": key } });
  globalThis.earlyData?.catch(() => {}); // whoever takes it hears of it, too
}
