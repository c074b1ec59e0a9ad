// Where another site leads to the page: the cookie is sent as soon as a script of ours goes there, and no sooner.

const here = new URL(location.href);
here.searchParams.delete("token");
location.replace(here.href);
