import type { PatientFields } from "../src/clinical/fields.ts"

const firstNames = (
  "Ada Agustín Amélie Anna Ayşe Björn Brent Cammy Carlos Chloé Daniel David Elena Emil Eva Fatima Felix Françoise Georg " +
  "Hanna Ida Jakob Joie José Jürgen Karl Laura Lee Leon Luigi Łukasz Maria Mia Noah Norma Olga Paul Pearly Renaldo Rosa " +
  "Samuel Sofia Søren Theo Tiera Tom Ursula Vera Walter Zoë"
).split(" ")
const lastNames = (
  "Adler Ångström Bauer Beer Berger Boyle Brandt Byron Conde Dubois Fischer Fonseca Gómez Goodwin Graf Hegmann Hoffmann " +
  "Huber Jacobi Jansen Keller Kowalski Kreiger Kuhlman Lang Lehmann Maier McCullough Meyer Morissette Müller Nguyen Novak " +
  "O'Brien Okafor Pagan Petrov Rossi Schmidt Schneider Schuster Silva Singh Ullrich Vogel Wagner Weber Wiegand Yılmaz Zimmer"
).split(" ")
const diagnoses = [
  "Essential (primary) hypertension",
  "Type 2 diabetes mellitus without complications",
  "Prediabetes",
  "Chronic obstructive pulmonary disease",
  "Asthma, mild intermittent",
  "Major depressive disorder, single episode",
  "Osteoarthritis of knee",
  "Hyperlipidaemia",
  "Atrial fibrillation",
  "Chronic kidney disease, stage 3",
  "Iron deficiency anaemia",
  "Hypothyroidism",
  "Migraine without aura",
  "Gastro-oesophageal reflux disease",
  "Acute bronchitis",
  "Chronic sinusitis",
  "Low back pain",
  "Coronary heart disease",
  "Sleep apnoea",
  "Allergic rhinitis due to pollen",
]

/** The same made-up patient for the same number, on either side. */
export function patient(number: number): PatientFields {
  const random = mulberry32(number + 1)
  const pick = (list: readonly string[]) => list[Math.floor(random() * list.length)]!
  const year = 1926 + Math.floor(random() * 98)
  const two = (value: number) => String(value).padStart(2, "0")
  return {
    firstName: pick(firstNames),
    lastName: `${pick(lastNames)}${random() < 0.2 ? `-${pick(lastNames)}` : ""}`,
    birthDate: `${year}-${two(1 + Math.floor(random() * 12))}-${two(1 + Math.floor(random() * 28))}`,
    diagnosis: pick(diagnoses),
  }
}

export function diagnosis(number: number): string {
  return diagnoses[number % diagnoses.length]!
}

/** A small generator whose sequence a seed fixes: patients are the same in every run. */
function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
