// The forecast of a dam's level from the file default.json of `forebay export`. The module needs no other package and
// runs in browsers and in Node. docs/export.md describes each step.
//
//   const model = checkModel(JSON.parse(text));
//   forecast(model, model.example.day); // [{lead: 1, changes: […], levels: […]}, …]

const WET = 1, NEAR_FULL = 2, ABOVE_FULL = 4, FALLING = 8, RISING = 16, FORECAST = 32;
const KINDS = ["factor", "day_table", "linear", "wet_mean", "trees", "sum", "balance", "inflow_ahead"];

const sum = (values) => values.reduce((total, value) => total + value, 0);
const range = (changes) => (changes.length ? Math.max(...changes) - Math.min(...changes) : 0);
const product = (matrix, values) => matrix.map((row) => sum(row.map((share, k) => share * values[k])));
const rising = (values) => [...values].sort((a, b) => a - b);
const above = (value, limit) => value !== null && value !== undefined && limit !== null && value > limit;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// The model itself; throws if the object is no `default` of forebay in format version 1.
export function checkModel(model) {
  if (model?.format !== "forebay-default" || model.version !== 1) {
    throw new TypeError("the object is not a default of forebay in format version 1");
  }
  const unknown = model.by_lead.flatMap(({ members }) => members).find(({ kind }) => !KINDS.includes(kind));
  if (unknown) throw new TypeError(`member "${unknown.kind}" is not known; allowed are ${KINDS.join(", ")}`);
  return model;
}

// The forecast of one day: `changes` and `levels` of each lead time, with a number for each of `model.quantiles`.
// `learned` is what the program knew on the day; by default what it knew on the day of the file.
export function forecast(model, day, learned = model.learned) {
  checkDay(model, day);
  if (learned.fitted_on !== model.fitted_on) {
    throw new TypeError(`what is learned belongs to the fits of ${learned.fitted_on}, the model to ${model.fitted_on}`);
  }
  const { inputs } = day;
  const kind = kindOf(day, learned);
  const blends = model.leads.map((_, k) => blend(model, day, k, learned.by_lead[k], kind));
  const changes = blends.map(({ change }) => change);
  const smooth = day.level_age > 0 ? changes : product(learned.curve, changes);
  const medians = smooth.map((change, k) => respond(model, day, k, change, learned.by_lead[k].response_median));
  const falls = above(learned.fast_fall, inputs.last_change), rises = above(inputs.last_change, learned.fast_rise);
  const course = falls ? FALLING : rises ? RISING : 0;
  let offsets = blends.map((one, k) => offsetsOf(model, one, medians[k], learned.by_lead[k], kind + course, day));
  if (learned.has_curve && day.level_age === 0) {
    const columns = model.quantiles.map((_, q) => product(model.offset_curve, offsets.map((row) => row[q])));
    offsets = model.leads.map((_, k) => columns.map((column) => column[k]));
  }
  return model.leads.map((lead, k) => {
    const changes = quantiles(model, day, k, medians[k], rising(offsets[k]), learned);
    return { lead, changes, levels: changes.map((change) => day.level + change) };
  });
}

function checkDay(model, day) {
  const { level, drivers_age: age, inputs, inputs_ahead: ahead, full_supply: full, near_full_margin: margin } = day;
  if (!Number.isFinite(level)) throw new TypeError("the day has no level; give the last one with its level_age");
  if (!Number.isInteger(day.level_age)) {
    throw new TypeError("level_age must be the days since the level; 0 for today's");
  }
  const rows = [[model.inputs, inputs], ...model.leads.map((_, k) => [model.inputs_ahead, ahead?.[k] ?? {}])];
  for (const [names, row] of rows) {
    const absent = names.find(({ name }) => row[name] !== null && !Number.isFinite(row[name]));
    if (absent) throw new TypeError(`input "${absent.name}" must be a number, or null where it is missing`);
  }
  if (inputs.day_of_year === null) throw new TypeError('input "day_of_year" must be a number');
  if (model.drivers.length && model.drivers.every((name) => inputs[name] === null) !== age > 0) {
    const names = model.drivers.join(", ");
    throw new TypeError(`drivers_age must be the days since the last of ${names}; 0 if one is known`);
  }
  const outage = outageOf(day);
  if (outage && !model.outages.includes(outage)) {
    throw new TypeError(`the file has no intervals for an outage of ${outage}; use the forecast of the program`);
  }
  const absent = model.by_lead[0].members.find(({ name }) => !Number.isFinite(day.since_level[name]));
  if (day.level_age > 0 && absent) {
    throw new TypeError(`since_level must have the change of ${absent.name} since the level`);
  }
  if (Number.isFinite(full) && !Number.isFinite(margin)) throw new TypeError("near_full_margin must be a number");
}

// "level", "drivers" or "both" on a day without them; null on another day.
function outageOf({ level_age: levelAge, drivers_age: driversAge }) {
  if (levelAge > 0) return driversAge > 0 ? "both" : "level";
  return driversAge > 0 ? "drivers" : null;
}

// Change per day that each member forecasts for the next day. The sum of those from the day of the last level until
// yesterday is `since_level` of a day without a level.
export function changesPerDay(model, day) {
  const { inputs, bounded } = boundedInputs(model.by_lead[0], day, 0);
  const { members, lead } = model.by_lead[0];
  return Object.fromEntries(members.map((member) =>
    [member.name, changeOf(member, member.is_reference ? inputs : bounded) / lead]));
}

function boundedInputs({ bounds }, day, k) {
  const inputs = { ...day.inputs, ...day.inputs_ahead[k] };
  const bounded = { ...inputs };
  for (const [name, [low, high]] of Object.entries(bounds)) {
    if (inputs[name] !== null) bounded[name] = clamp(inputs[name], low, high);
  }
  return { inputs, bounded };
}

function kindOf({ level, full_supply: full, near_full_margin: margin, inputs }, { wet_above: limits }) {
  const kind = Object.entries(limits).some(([name, limit]) => above(inputs[name], limit)) ? WET : 0;
  if (full === null) return kind;
  if (Math.abs(level - full) <= margin) return kind + NEAR_FULL;
  return level - full > margin ? kind + ABOVE_FULL : kind;
}

// The blend at one lead time with the correction of quiet days, and what the interval needs.
function blend(model, day, k, known, kindOfDay) {
  const { bounds, members, sizes: names, spread_of: spreadOf, inflow_inputs: inflow } = model.by_lead[k];
  const { inputs, bounded } = boundedInputs(model.by_lead[k], day, k);
  const isFar = Object.keys(bounds).some((name) => bounded[name] !== inputs[name]);
  const changes = members.map((member) =>
    changeOf(member, member.is_reference ? inputs : bounded) + (day.since_level[member.name] ?? 0));
  const ranged = changes.filter((_, m) => members[m].in_range);
  const flag = inflow.length && inflow.every((name) => inputs[name] !== null) ? FORECAST : 0;
  let weights = known.weights[kindOfDay + flag];
  const isWild = wild(model, ranged, known.largest_range);
  if (isWild) {
    weights = weights.map((weight, m) => weight * members[m].is_robust);
    weights = weights.map((weight) => weight / sum(weights));
  }
  const blended = sum(weights.map((weight, m) => weight * changes[m]));
  const spreading = members.filter(({ name }) => spreadOf.includes(name));
  const spreads = spreading.map(({ low, high }) => Math.max(0, trees(high, bounded) - trees(low, bounded)));
  const sizes = names.map((name) => (inputs[name] === null ? null : Math.abs(inputs[name])));
  const size = sizeOf(known.quiet, [...sizes, Math.abs(blended), range(ranged), ...spreads], isWild || isFar);
  const third = known.quiet.thirds.filter((limit) => size > limit).length;
  const shift = third < 2 && !outageOf(day) ? size * known.quiet.shares[third] : 0;
  return { change: blended + shift, ranged, sizes, spreads, isFar, flag };
}

const wild = (model, changes, largest) => largest !== null && range(changes) > model.wild_factor * largest;

// Change that a member forecasts.
function changeOf(member, inputs) {
  switch (member.kind) {
    case "factor":
      return member.factor * (inputs[member.input] ?? 0);
    case "day_table":
      return member.changes[inputs[member.input]];
    case "linear":
      return linear(member, inputs);
    case "wet_mean": {
      const change = linear(member.all, inputs), last = inputs.last_change;
      const isLarge = above(last === null ? null : Math.abs(last), member.large_change);
      return isLarge || above(inputs.rain_3d, member.rain_3d) ? (change + linear(member.wet, inputs)) / 2 : change;
    }
    case "trees":
      return trees(member, inputs);
    case "sum":
      return sum(member.parts.map((part) => changeOf(part, inputs)));
    case "balance":
      return balance(member, inputs);
    default: // inflow_ahead
      if (member.needs.some((name) => inputs[name] === null)) return changeOf(member.otherwise, inputs);
      return member.intercept + sum(member.inputs.map((name, k) =>
        inputs[name] === null ? 0 : (inputs[name] - member.mean[k]) * member.coefficients[k]));
  }
}

function linear(member, inputs) {
  const { inputs: names, mean, deviation, coefficients, missing, missing_coefficients: absent, intercept } = member;
  const parts = names.map((name, k) =>
    inputs[name] === null ? 0 : ((inputs[name] - mean[k]) / deviation[k]) * coefficients[k]);
  return intercept + sum(parts) + sum(missing.map((name, k) => (inputs[name] === null ? absent[k] : 0)));
}

function trees({ inputs: names, typical, scale, trees: all }, inputs) {
  const row = names.map((name, k) => inputs[name] ?? typical[k]);
  return scale * sum(all.map((tree) => leafOf(tree, row)));
}

function leafOf({ feature, threshold, missing_left: missingLeft, left, right, leaves }, row) {
  let node = feature.length ? 0 : -1;
  while (node >= 0) {
    const value = row[feature[node]];
    const goesLeft = value === null ? missingLeft[node] : value <= threshold[node];
    node = goesLeft ? left[node] : right[node];
  }
  return leaves[-1 - node];
}

function balance(member, inputs) {
  const flows = member.flows.map((name) => (name === null ? 0 : inputs[name]));
  const [inflow, medianInflow, release, medianRelease, expected, medianExpected, change, medianChange] = flows;
  const { factor } = member;
  if ([medianInflow, medianRelease, medianExpected, medianChange].includes(null)) {
    return member.course * (inputs[member.otherwise] ?? 0);
  }
  const medianError = medianChange - factor * medianExpected;
  let result = member.course * (factor * (medianInflow - medianRelease) + medianError);
  if (inflow !== null) result += member.inflow * factor * (inflow - medianInflow);
  if (release !== null) result -= member.release * factor * (release - medianRelease);
  if (change !== null && expected !== null) result += member.error * (change - factor * expected - medianError);
  return result;
}

// Expected size of an error on a day with these sizes.
function sizeOf(known, sizes, isUnusual) {
  const parts = known.columns.map((column, k) => {
    const size = sizes[column];
    const standard = size === null ? 0 : (Math.log1p(size / known.unit[k]) - known.centre[k]) / known.deviation[k];
    return (clamp(standard, known.low[k], known.high[k]) - known.mean[k]) * known.slope[k];
  });
  const size = Math.exp(known.intercept + sum(parts));
  return Math.min(isUnusual ? Math.max(size, known.least_unusual) : size, known.largest);
}

// Distances of the quantiles from the median.
function offsetsOf(model, { ranged, sizes, spreads, isFar, flag }, median, known, kind, day) {
  const all = [...ranged, median];
  const outage = outageOf(day), ages = [day.level_age, day.drivers_age];
  const own = outage && known.outages[outage];
  const errors = own ?? known.intervals;
  const isUnusual = isFar || (!own && wild(model, all, known.largest_range_with_default));
  const size = sizeOf(errors, [...sizes, Math.abs(median), range(all), ...spreads, ...ages], isUnusual);
  const kindOfErrors = own ? (outage === "level" ? kind & WET : 0) : kind + flag;
  return errors.scaled[kindOfErrors].map((share, q) => onSide(share * size, 0, model.quantiles[q]));
}

// A quantile on its side of the median, which it is itself at the level .5.
function onSide(value, median, level) {
  if (level === 0.5) return median;
  return level < 0.5 ? Math.min(value, median) : Math.max(value, median);
}

// Quantiles of the change from rising offsets.
function quantiles(model, day, k, median, offsets, { resolution, by_lead: byLead }) {
  let changes = offsets.map((offset, q) => {
    const step = resolution * (model.quantiles[q] - 0.5);
    return median + (step < 0 ? Math.min(offset, step) : step > 0 ? Math.max(offset, step) : offset);
  });
  if (model.responses.length) {
    changes = changes.map((change, q) =>
      respond(model, day, k, change, byLead[k].response_quantiles.map((weights) => weights[q])));
    changes = rising(changes.map((change, q) => onSide(change, median, model.quantiles[q])));
  }
  const [low, high] = byLead[k].limits;
  changes = changes.map((change) =>
    clamp(change, low === null ? -Infinity : low - day.level, high === null ? Infinity : high - day.level));
  if (day.suspect_level === null) return changes;
  const suspect = day.suspect_level - day.level;
  return [Math.min(changes[0], suspect), ...changes.slice(1, -1), Math.max(changes.at(-1), suspect)];
}

// A change after the response near full supply; `weights` are those up to the margin above full supply and above it.
function respond(model, day, k, change, weights) {
  const { level: start, full_supply: today, near_full_margin: margin } = day;
  const full = day.full_supply_ahead[k];
  if (!model.responses.length || full === null) return change;
  const own = weights[today !== null && start - today > margin ? 1 : 0];
  const level = start + change;
  const toFull = full - start - model.keeps_full * Math.max(full - level, 0);
  return sum(model.responses.map(({ share, offset, returns }, r) => {
    const cap = returns ? full + offset * margin : Math.max(full + offset * margin, start);
    return own[r] * Math.max(change - (1 - share) * Math.max(level - cap, 0), toFull);
  }));
}
