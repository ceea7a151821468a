// Keeps the parts of a page up to date that the server renders anew. Every page works without it.
"use strict";
(() => {
	const page = document.body.dataset.page;
	const box = document.getElementById("live-box");
	const state = document.getElementById("live-state");
	const button = document.getElementById("live-pause");
	const announcer = document.getElementById("announcer");
	const lostAfter = 15000, announceEvery = 5000, longestWait = 60000;

	document.documentElement.classList.add("js");

	// What the server rendered is the only text that becomes HTML; it is parsed into a document that runs nothing.
	const policy = window.trustedTypes ? window.trustedTypes.createPolicy("genmesh", { createHTML: (html) => html }) : null;
	const parsed = (html) => new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html").body;

	// The connection.

	let source = null, paused = false, heard = 0, numbersOf = "", problem = "", retry = 0, wait = 1500;

	function show(kind, text) {
		if (state.textContent !== text) state.textContent = text;
		box.dataset.state = kind;
		document.documentElement.classList.toggle("still", kind !== "live");
	}

	function showState() {
		const at = numbersOf ? ", numbers of " + numbersOf + " UTC" : "";
		if (paused) show("paused", "Frozen" + at);
		else if (source && heard && Date.now() - heard < lostAfter) show(problem ? "lost" : "live", problem ? "Old numbers" + at : "Live");
		else if (!heard) show("wait", "Connecting");
		else show("lost", "Connection lost" + at);
	}

	function open() {
		clearTimeout(retry);
		if (!page || paused || document.hidden || source) return;
		source = new EventSource("/live?page=" + encodeURIComponent(page));
		source.addEventListener("region", (e) => { renew(JSON.parse(e.data)); alive(); });
		source.addEventListener("said", (e) => { announce(JSON.parse(e.data).text); alive(); });
		source.addEventListener("beat", (e) => {
			const beat = JSON.parse(e.data);
			numbersOf = beat.at;
			problem = beat.problem;
			alive();
			flush();
		});
		source.addEventListener("error", () => {
			if (source && source.readyState === EventSource.CLOSED) { // refused: ask again, less and less often
				close();
				retry = setTimeout(open, wait);
				wait = Math.min(wait * 2, longestWait);
			}
			showState();
		});
	}

	function alive() {
		heard = Date.now();
		wait = 1500;
		showState();
	}

	function close() {
		clearTimeout(retry);
		if (source) source.close();
		source = null;
	}

	// The regions.

	const waiting = new Map();

	function renew({ name, html }) {
		waiting.set(name, html);
		flush();
	}

	// flush brings in what came, but nothing under the hands of whoever is typing or marking text there.
	function flush() {
		for (const [name, html] of waiting) {
			const region = document.getElementById("live-" + name);
			if (region && busy(region)) continue;
			waiting.delete(name);
			if (region) swap(region, html);
		}
	}

	function busy(region) {
		const active = document.activeElement;
		if (region.contains(active) && active.matches("input, select, textarea")) return true;
		const selection = document.getSelection();
		if (selection && !selection.isCollapsed && (region.contains(selection.anchorNode) || region.contains(selection.focusNode))) return true;
		return [...region.querySelectorAll("input, textarea")].some((f) => f.value !== f.defaultValue || f.checked !== f.defaultChecked) ||
			[...region.querySelectorAll("option")].some((o) => o.closest("select").dataset.dirty);
	}

	function swap(region, html) {
		const active = document.activeElement;
		const held = region.contains(active);
		morph(region, parsed(html));
		if (held && document.activeElement !== active) {
			region.tabIndex = -1;
			region.focus({ preventScroll: true });
		}
	}

	const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "");
	const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

	// morph makes the children of old those of fresh, and keeps every element that goes on to be there: so focus, scroll position,
	// animations and what is unfolded stay.
	function morph(old, fresh) {
		const known = new Map();
		for (const child of old.childNodes) if (key(child)) known.set(key(child), child);
		let at = old.firstChild;
		for (const next of [...fresh.childNodes]) {
			let match = key(next) ? known.get(key(next)) : at;
			if (!match || !alike(match, next)) match = null;
			if (!match) {
				old.insertBefore(document.importNode(next, true), at);
				continue;
			}
			if (match === at) at = at.nextSibling;
			else old.insertBefore(match, at);
			patch(match, next);
		}
		while (at) {
			const gone = at;
			at = at.nextSibling;
			gone.remove();
		}
	}

	function patch(old, fresh) {
		if (old.nodeType !== Node.ELEMENT_NODE) {
			if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
			return;
		}
		for (const { name, value } of [...fresh.attributes]) {
			if (!kept(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
		}
		for (const { name } of [...old.attributes]) {
			if (!kept(old, name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
		}
		morph(old, fresh);
	}

	const kept = (element, name) => name === "tabindex" || (name === "open" && element.nodeName === "DETAILS");

	// What is read out.

	let said = [], saidAt = 0, sayLater = 0;

	function announce(text) {
		if (!said.includes(text)) said.push(text);
		clearTimeout(sayLater);
		sayLater = setTimeout(() => {
			announcer.textContent = said.join(". ");
			said = [];
			saidAt = Date.now();
		}, Math.max(0, announceEvery - (Date.now() - saidAt)));
	}

	// The hands of people.

	button.addEventListener("click", () => {
		paused = !paused;
		button.setAttribute("aria-pressed", String(paused));
		if (paused) close();
		else {
			heard = 0;
			open();
		}
		showState();
	});
	document.addEventListener("visibilitychange", () => {
		if (document.hidden) close();
		else open();
	});
	document.addEventListener("change", (e) => {
		if (e.target.matches("select")) e.target.dataset.dirty = "yes";
	});
	document.addEventListener("focusout", () => setTimeout(flush));
	document.addEventListener("pointerover", (e) => {
		const time = e.target.closest && e.target.closest("time");
		if (time && !time.title) time.title = new Date(time.dateTime).toLocaleString() + ", your time";
	});
	document.addEventListener("click", async (e) => {
		const copy = e.target.closest(".copy");
		if (copy) {
			const code = copy.parentElement.querySelector("code");
			try {
				await navigator.clipboard.writeText(code.textContent);
				announce("copied");
			} catch {
				document.getSelection().selectAllChildren(code);
			}
		}
		const pick = e.target.closest(".pick-all");
		if (pick) {
			const boxes = [...pick.form.querySelectorAll("input[type=checkbox][name=number]")];
			const all = boxes.every((b) => b.checked);
			for (const b of boxes) b.checked = !all;
		}
	});

	const current = document.querySelector(".nav [aria-current]");
	if (current) { // not by scrollIntoView, from which the tab key would go on, past the link that skips all of this
		const list = current.closest("ul");
		list.scrollLeft = current.offsetLeft - (list.clientWidth - current.offsetWidth) / 2;
	}
	if (page) {
		box.hidden = false;
		showState();
		setInterval(showState, 1000);
		open();
	}
})();
