defmodule ForebayDefault do
  @moduledoc """
  The forecast of a dam's level from the file default.terms of `forebay export`.

  The module needs no other package and runs on Elixir 1.14 or newer. docs/export.md describes each step.

      model = ForebayDefault.load("default.terms")
      ForebayDefault.forecast(model, model["example"]["day"])
  """

  @wet 1
  @near_full 2
  @above_full 4
  @falling 8
  @rising 16
  @forecast 32

  @doc """
  The model in a file default.terms.

  Raises `ArgumentError` if the file cannot be read or contains something else. The file contains data only: no code
  runs.
  """
  def load(path) do
    case :file.consult(path) do
      {:ok, [%{"format" => "forebay-default", "version" => 1} = model]} ->
        model

      {:ok, _terms} ->
        raise ArgumentError, "#{path} is not a default of forebay in format version 1"

      {:error, reason} ->
        raise ArgumentError, "#{path} cannot be read: #{:file.format_error(reason)}"
    end
  end

  @doc """
  The forecast of one day: a map for each lead time, with a number for each of the model's quantiles in `changes` and
  `levels`.

  `day` has the level, full supply and the inputs; a missing input is `nil`. `learned` is what the program knew on the
  day; by default what it knew on the day of the file.
  """
  def forecast(model, day, learned \\ nil) do
    check_day(model, day)
    learned = learned || model["learned"]
    check_fits(model["fitted_on"], learned["fitted_on"])
    kind = kind_of(day, learned)

    leads =
      [model["leads"], model["by_lead"], learned["by_lead"], ahead(model, day), day["full_supply_ahead"]]
      |> Enum.zip_with(fn [lead, fits, known, ahead, full] ->
        %{lead: lead, fits: fits, known: known, inputs: Map.merge(day["inputs"], ahead), full: full}
      end)

    blends = Enum.map(leads, &blend(model, &1, kind, day))
    changes = Enum.map(blends, & &1.change)
    smooth = if day["level_age"] > 0, do: changes, else: product(learned["curve"], changes)

    medians =
      Enum.zip_with(leads, smooth, fn at, change ->
        respond(model, day, at.full, change, at.known["response_median"])
      end)

    course = course_of(day["inputs"]["last_change"], learned)

    offsets =
      [leads, blends, medians]
      |> Enum.zip_with(fn [at, blend, median] -> offsets(model, at, blend, median, kind + course, day) end)
      |> on_curve(model, learned["has_curve"] == 1 and day["level_age"] == 0)

    Enum.zip_with([leads, medians, offsets], fn [at, median, offsets] ->
      changes = quantiles(model, day, at, median, Enum.sort(offsets), learned["resolution"])
      %{"lead" => at.lead, "changes" => changes, "levels" => Enum.map(changes, &(day["level"] + &1))}
    end)
  end

  defp check_fits(fits, fits), do: :ok

  defp check_fits(fits, others) do
    raise ArgumentError, "what is learned belongs to the fits of #{others}, the model to #{fits}"
  end

  defp check_day(model, %{"level" => level, "inputs" => inputs} = day) do
    is_number(level) ||
      raise ArgumentError, "the day has no level; give the last one with its level_age"

    is_integer(day["level_age"]) ||
      raise ArgumentError, "level_age must be the days since the level; 0 for today's"

    rows = [{model["inputs"], inputs} | Enum.map(ahead(model, day), &{model["inputs_ahead"], &1})]

    for {names, row} <- rows, %{"name" => name} <- names do
      case row do
        %{^name => value} when is_number(value) or (is_nil(value) and name != "day_of_year") -> :ok
        _row -> raise ArgumentError, "input #{inspect(name)} must be a number, or nil where it is missing"
      end
    end

    age = day["drivers_age"]

    if model["drivers"] != [] and Enum.all?(model["drivers"], &is_nil(inputs[&1])) != age > 0 do
      raise ArgumentError,
            "drivers_age must be the days since the last of #{Enum.join(model["drivers"], ", ")}; 0 if one is known"
    end

    if outage(day) && outage(day) not in model["outages"] do
      raise ArgumentError,
            "the file has no intervals for an outage of #{outage(day)}; use the forecast of the program"
    end

    for %{"name" => name} <- hd(model["by_lead"])["members"], day["level_age"] > 0 do
      is_number(day["since_level"][name]) ||
        raise ArgumentError, "since_level must have the change of #{name} since the level"
    end
  end

  @doc """
  Change per day that each member forecasts for the next day, by the member's name.

  The sum of those from the day of the last level until yesterday is `since_level` of a day without a level.
  """
  def changes_per_day(%{"by_lead" => [fits | _]} = model, day) do
    inputs = Map.merge(day["inputs"], hd(ahead(model, day)))
    bounded = bounded(inputs, fits)

    for member <- fits["members"], into: %{} do
      own = if member["is_reference"] == 1, do: inputs, else: bounded
      {member["name"], change(member, own) / fits["lead"]}
    end
  end

  # "level", "drivers" or "both" on a day without them; nil on another day.
  defp outage(%{"level_age" => level_age, "drivers_age" => drivers_age}) do
    cond do
      level_age > 0 and drivers_age > 0 -> "both"
      level_age > 0 -> "level"
      drivers_age > 0 -> "drivers"
      true -> nil
    end
  end

  defp bounded(inputs, fits) do
    for {name, value} <- inputs, into: %{} do
      case fits["bounds"] do
        %{^name => [low, high]} when not is_nil(value) -> {name, clamp(value, low, high)}
        _bounds -> {name, value}
      end
    end
  end

  # The inputs of each lead time from forecasts and plans.
  defp ahead(model, %{"inputs_ahead" => ahead}) when length(ahead) > 0 do
    if length(ahead) == length(model["leads"]),
      do: ahead,
      else: raise(ArgumentError, "inputs_ahead must have an entry for each lead time")
  end

  defp ahead(model, _day), do: Enum.map(model["leads"], fn _lead -> %{} end)

  defp kind_of(%{"level" => level, "full_supply" => full, "near_full_margin" => margin, "inputs" => inputs}, learned) do
    wet? = Enum.any?(learned["wet_above"], fn {name, limit} -> above?(inputs[name], limit) end)
    kind = if wet?, do: @wet, else: 0

    cond do
      is_nil(full) -> kind
      abs(level - full) <= margin -> kind + @near_full
      level - full > margin -> kind + @above_full
      true -> kind
    end
  end

  defp course_of(change, learned) do
    cond do
      above?(learned["fast_fall"], change) -> @falling
      above?(change, learned["fast_rise"]) -> @rising
      true -> 0
    end
  end

  # The blend at one lead time with the correction of quiet days, and what the interval needs.
  defp blend(model, %{fits: fits, known: known, inputs: inputs}, kind, day) do
    bounded = bounded(inputs, fits)
    far? = Enum.any?(inputs, fn {name, value} -> bounded[name] != value end)
    members = fits["members"]

    changes =
      for member <- members do
        own = if member["is_reference"] == 1, do: inputs, else: bounded
        change(member, own) + Map.get(day["since_level"], member["name"], 0.0)
      end

    ranged = for {%{"in_range" => 1}, change} <- Enum.zip(members, changes), do: change
    inflow = fits["inflow_inputs"]
    flag = if inflow != [] and Enum.all?(inflow, &inputs[&1]), do: @forecast, else: 0
    wild? = wild?(model, ranged, known["largest_range"])
    weights = known["weights"][Integer.to_string(kind + flag)] |> robust(members, wild?)
    blended = dot(weights, changes)

    spreads =
      for %{"name" => name, "low" => low, "high" => high} <- members, name in fits["spread_of"] do
        max(0.0, trees(high, bounded) - trees(low, bounded))
      end

    sizes = Enum.map(fits["sizes"], &(inputs[&1] && abs(inputs[&1])))
    quiet = known["quiet"]
    size = size(quiet, sizes ++ [abs(blended), range(ranged) | spreads], wild? or far?)
    third = Enum.count(quiet["thirds"], &(size > &1))
    share = if outage(day), do: 0.0, else: Enum.at(quiet["shares"], third, 0.0)
    %{change: blended + size * share, ranged: ranged, sizes: sizes, spreads: spreads, far?: far?, flag: flag}
  end

  defp robust(weights, _members, false), do: weights

  defp robust(weights, members, true) do
    shares = Enum.zip_with(weights, members, &(&1 * &2["is_robust"]))
    Enum.map(shares, &(&1 / Enum.sum(shares)))
  end

  defp wild?(model, changes, largest),
    do: not is_nil(largest) and range(changes) > model["wild_factor"] * largest

  # Change that a member forecasts.
  defp change(%{"kind" => "factor", "input" => name, "factor" => factor}, inputs),
    do: factor * (inputs[name] || 0.0)

  defp change(%{"kind" => "day_table", "input" => name, "changes" => changes}, inputs),
    do: Enum.at(changes, trunc(inputs[name]))

  defp change(%{"kind" => "linear"} = member, inputs) do
    parts =
      [member["inputs"], member["mean"], member["deviation"], member["coefficients"]]
      |> Enum.zip_with(fn [name, mean, deviation, coefficient] ->
        value = inputs[name]
        if is_nil(value), do: 0.0, else: (value - mean) / deviation * coefficient
      end)

    absent =
      Enum.zip_with(member["missing"], member["missing_coefficients"], fn name, coefficient ->
        if is_nil(inputs[name]), do: coefficient, else: 0.0
      end)

    member["intercept"] + Enum.sum(parts) + Enum.sum(absent)
  end

  defp change(%{"kind" => "wet_mean"} = member, inputs) do
    change = change(member["all"], inputs)
    last = inputs["last_change"]
    wet? = above?(last && abs(last), member["large_change"]) or above?(inputs["rain_3d"], member["rain_3d"])
    if wet?, do: (change + change(member["wet"], inputs)) / 2, else: change
  end

  defp change(%{"kind" => "trees"} = member, inputs), do: trees(member, inputs)

  defp change(%{"kind" => "sum", "parts" => parts}, inputs),
    do: parts |> Enum.map(&change(&1, inputs)) |> Enum.sum()

  defp change(%{"kind" => "balance", "factor" => factor} = member, inputs) do
    flows = Enum.map(member["flows"], &if(is_nil(&1), do: 0.0, else: inputs[&1]))
    [inflow, median_inflow, release, median_release, expected, median_expected, change, median_change] = flows

    if Enum.any?([median_inflow, median_release, median_expected, median_change], &is_nil/1) do
      member["course"] * (inputs[member["otherwise"]] || 0.0)
    else
      median_error = median_change - factor * median_expected
      course = member["course"] * (factor * (median_inflow - median_release) + median_error)
      inflow = if inflow, do: member["inflow"] * factor * (inflow - median_inflow), else: 0.0
      release = if release, do: member["release"] * factor * (release - median_release), else: 0.0
      error = if change && expected, do: member["error"] * (change - factor * expected - median_error), else: 0.0
      course + inflow - release + error
    end
  end

  defp change(%{"kind" => "inflow_ahead"} = member, inputs) do
    if Enum.all?(member["needs"], &inputs[&1]) do
      parts =
        [member["inputs"], member["mean"], member["coefficients"]]
        |> Enum.zip_with(fn [name, mean, coefficient] ->
          if inputs[name], do: (inputs[name] - mean) * coefficient, else: 0.0
        end)

      member["intercept"] + Enum.sum(parts)
    else
      change(member["otherwise"], inputs)
    end
  end

  defp change(%{"kind" => kind}, _inputs),
    do: raise(ArgumentError, "member #{inspect(kind)} is not known; use a newer forebay_default.ex")

  defp trees(%{"inputs" => names, "typical" => typical, "scale" => scale, "trees" => trees}, inputs) do
    row = names |> Enum.zip_with(typical, &if(is_nil(inputs[&1]), do: &2, else: inputs[&1])) |> List.to_tuple()
    scale * (trees |> Enum.map(&leaf(&1, row, if(&1["feature"] == [], do: -1, else: 0))) |> Enum.sum())
  end

  defp leaf(tree, _row, node) when node < 0, do: Enum.at(tree["leaves"], -1 - node)

  defp leaf(tree, row, node) do
    value = elem(row, Enum.at(tree["feature"], node))

    left? =
      if is_nil(value),
        do: Enum.at(tree["missing_left"], node) == 1,
        else: value <= Enum.at(tree["threshold"], node)

    leaf(tree, row, Enum.at(tree[if(left?, do: "left", else: "right")], node))
  end

  # Expected size of an error on a day with these sizes.
  defp size(known, sizes, unusual?) do
    names = ["columns", "unit", "centre", "deviation", "low", "high", "mean", "slope"]

    parts =
      Enum.zip_with(Enum.map(names, &known[&1]), fn [column, unit, centre, deviation, low, high, mean, slope] ->
        size = Enum.at(sizes, column)
        standard = if is_nil(size), do: 0.0, else: (:math.log(1 + size / unit) - centre) / deviation
        (clamp(standard, low, high) - mean) * slope
      end)

    size = :math.exp(known["intercept"] + Enum.sum(parts))
    min(if(unusual?, do: max(size, known["least_unusual"]), else: size), known["largest"])
  end

  # Distances of the quantiles from the median.
  defp offsets(model, %{known: known}, blend, median, kind, day) do
    all = [median | blend.ranged]
    own = known["outages"][outage(day)]
    wild? = is_nil(own) and wild?(model, all, known["largest_range_with_default"])
    errors = own || known["intervals"]
    sizes = blend.sizes ++ [abs(median), range(all) | blend.spreads] ++ [day["level_age"], day["drivers_age"]]
    size = size(errors, sizes, wild? or blend.far?)
    wet = if outage(day) == "level", do: rem(kind, 2), else: 0
    scaled = errors["scaled"][Integer.to_string(if own, do: wet, else: kind + blend.flag)]
    Enum.zip_with(scaled, model["quantiles"], &on_side(&1 * size, 0.0, &2))
  end

  defp on_curve(offsets, _model, false), do: offsets

  defp on_curve(offsets, model, true) do
    Enum.zip_with(offsets, & &1) |> Enum.map(&product(model["offset_curve"], &1)) |> Enum.zip_with(& &1)
  end

  # A quantile on its side of the median, which it is itself at the level .5.
  defp on_side(value, median, level) when level < 0.5, do: min(value, median)
  defp on_side(value, median, level) when level > 0.5, do: max(value, median)
  defp on_side(_value, median, _level), do: median

  # Quantiles of the change from rising offsets.
  defp quantiles(model, day, at, median, offsets, resolution) do
    levels = model["quantiles"]

    changes =
      Enum.zip_with(offsets, levels, fn offset, level ->
        step = resolution * (level - 0.5)
        median + if(step < 0, do: min(offset, step), else: if(step > 0, do: max(offset, step), else: offset))
      end)

    [low, high] = at.known["limits"]

    limited =
      for change <- responded(model, day, at, median, changes) do
        change = if is_nil(low), do: change, else: max(change, low - day["level"])
        if is_nil(high), do: change, else: min(change, high - day["level"])
      end

    with_suspect(limited, day)
  end

  # The outer quantiles include a suspect level.
  defp with_suspect(changes, %{"suspect_level" => nil}), do: changes

  defp with_suspect(changes, %{"suspect_level" => suspect, "level" => level}) do
    changes
    |> List.update_at(0, &min(&1, suspect - level))
    |> List.update_at(-1, &max(&1, suspect - level))
  end

  defp responded(%{"responses" => []}, _day, _at, _median, changes), do: changes

  defp responded(model, day, at, median, changes) do
    [up_to_margin, above] = at.known["response_quantiles"]

    [changes, model["quantiles"], up_to_margin, above]
    |> Enum.zip_with(fn [change, level, up_to_margin, above] ->
      model |> respond(day, at.full, change, [up_to_margin, above]) |> on_side(median, level)
    end)
    |> Enum.sort()
  end

  # A change after the response near full supply; the weights are those up to the margin above full supply and above it.
  defp respond(%{"responses" => []}, _day, _full, change, _weights), do: change
  defp respond(_model, _day, nil, change, _weights), do: change

  defp respond(model, %{"level" => start, "near_full_margin" => margin} = day, full, change, [up_to_margin, above]) do
    weights = if above?(start - (day["full_supply"] || start), margin), do: above, else: up_to_margin
    level = start + change
    to_full = full - start - model["keeps_full"] * max(full - level, 0.0)

    answers =
      for %{"share" => share, "offset" => offset, "returns" => returns} <- model["responses"] do
        cap = if returns == 1, do: full + offset * margin, else: max(full + offset * margin, start)
        max(change - (1 - share) * max(level - cap, 0.0), to_full)
      end

    dot(weights, answers)
  end

  # Whether a value is above a limit; false if one of them is not known.
  defp above?(value, limit), do: not is_nil(value) and not is_nil(limit) and value > limit

  defp clamp(value, low, high), do: value |> max(low) |> min(high)

  defp range([]), do: 0.0
  defp range(changes), do: Enum.max(changes) - Enum.min(changes)

  defp product(matrix, values), do: Enum.map(matrix, &dot(&1, values))

  defp dot(first, second), do: Enum.zip_reduce(first, second, 0.0, fn a, b, sum -> sum + a * b end)
end
